"""The service as `make run` starts it: everything embedded, in one process and its children."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from embedded.ports import free_port
from tests.e2e.service import SERVER, Gateway, Process, surroundings

pytestmark = pytest.mark.timeout(150)


@dataclass
class Whole:
    """One data folder, and the process that serves from it now."""

    folder: Path
    http: aiohttp.ClientSession
    process: Process | None = None

    async def start(self) -> Gateway:
        port = free_port()
        log = self.folder / "service.log"
        self.process = await asyncio.to_thread(
            _started, log, {"PORT": str(port), "DATA_DIR": str(self.folder / "data")}
        )
        gateway = Gateway(f"http://127.0.0.1:{port}", self.http, self.process)
        await gateway.until_up()
        return gateway

    def child(self, name: str) -> int:
        """The process id of an embedded child."""
        record = json.loads((self.folder / "data" / "embedded" / name / "record.json").read_text())
        lock = (self.folder / "data" / "embedded" / name / "lock").read_text()
        return int(record.get("pid") or lock)


def _started(log: Path, environment: dict[str, str]) -> Process:
    with log.open("ab") as file:
        popen = subprocess.Popen(
            [sys.executable, SERVER], cwd=log.parent, env={**surroundings(), **environment}, stdout=file, stderr=file
        )
    return Process(popen, log)


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with aiohttp.ClientSession() as http:
        service = Whole(tmp_path, http)
        yield service
        if service.process is not None and service.process.popen.poll() is None:
            await asyncio.to_thread(service.process.end)


def test_no_setting_of_this_machine_reaches_a_service_that_a_test_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORDOCK_API_TOKEN", "of a real account")
    monkeypatch.setenv("Gcp_Project_Id", "a-real-project")

    given = surroundings()

    assert {"TENSORDOCK_API_TOKEN", "Gcp_Project_Id"} & given.keys() == set()
    assert given["PATH"] == os.environ["PATH"]


async def until_installing(gateway: Gateway, launch_id: str) -> None:
    async for event in gateway.follow(launch_id):
        if event["step"] == "INSTALL_STREAMING":
            return


async def test_after_a_kill_the_next_start_goes_on_with_the_launch(whole: Whole) -> None:
    gateway = await whole.start()
    launch_id = await gateway.launch()
    await until_installing(gateway, launch_id)
    gateway.process.kill()

    events = await (await whole.start()).until_over(launch_id)

    assert events[-1]["status"] == "READY"


async def test_database_and_temporal_that_die_are_started_again_and_no_event_is_lost(whole: Whole) -> None:
    gateway = await whole.start()
    launch_id = await gateway.launch()
    await until_installing(gateway, launch_id)
    for child in ("mongodb", "temporal"):
        os.kill(whole.child(child), signal.SIGKILL)

    async with asyncio.timeout(90):
        while True:
            if "errors" not in await gateway.ask("Launch", {"id": launch_id}):
                break
            await asyncio.sleep(0.2)
    events = await gateway.until_over(launch_id)

    assert events[-1]["status"] == "READY"
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


@pytest.fixture
def hangups_heard() -> Iterator[None]:
    """Also where the tests run under nohup, whose children would ignore hang-ups too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_an_interrupt_a_request_to_end_and_a_closed_terminal_end_every_child(
    whole: Whole, hangups_heard: None, sign: signal.Signals
) -> None:
    gateway = await whole.start()
    children = [whole.child(name) for name in ("mongodb", "temporal", "simulator")]

    await asyncio.to_thread(gateway.process.end, sign)

    assert gateway.process.popen.returncode == 0
    async with asyncio.timeout(10):  # orphans that have ended are there until the system has buried them
        for pid in children:
            await until_gone(pid)


async def until_gone(pid: int) -> None:
    while True:
        if not _lives(pid):
            return
        await asyncio.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
