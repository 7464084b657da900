"""An upgrade with launches and machines under way, to a build that does a launch's steps in another order."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.messages import launch_workflow_id, machine_workflow_id
from launch.temporal_client import connect
from launch.workflow_client import EngineAddress
from schema.ids import key_of
from tests.e2e.engine import Engine
from tests.e2e.service import ROOT, Deployment, Gateway

pytestmark = pytest.mark.timeout(300)

_CONFIGURE = """\
        done = await self._runner.run_step(step, SetupActivities.configure_game, on)
        await self._runner.finish(step, done.message)
"""
_VERIFY = """\
        await self._runner.do_step(LaunchStepName.VERIFY_STREAM, SetupActivities.verify_stream, on, message_of)
"""


def reordered(folder: Path) -> Path:
    """Return the server of a copy of the tree in which the stream is checked before the game is configured."""
    ignored = shutil.ignore_patterns(".*", "node_modules", "tests", "bench", "__pycache__")
    tree = Path(shutil.copytree(ROOT, folder / "second-build", ignore=ignored))
    setup = tree / "launch" / "machine_setup.py"
    before = setup.read_text()
    setup.write_text(before.replace(_CONFIGURE + _VERIFY, _VERIFY + _CONFIGURE))
    assert setup.read_text() != before
    return tree / "server.py"


async def until(so: Callable[[], Awaitable[bool]], within_s: float = 90) -> None:
    async with asyncio.timeout(within_s):
        while True:
            if await so():
                return
            await asyncio.sleep(0.2)


def begun(events: list[dict[str, Any]]) -> list[str]:
    """Return the two steps that the builds do in another order, as they ended."""
    steps = [event["step"] for event in events if event["stepStatus"] == "DONE"]
    return [step for step in steps if step in {"CONFIGURE_GAME", "VERIFY_STREAM"}]


async def held_launch(deployed: Deployment, gateway: Gateway) -> tuple[str, str]:
    """Return a launch that cannot go on, and the cloud's id of its machine."""
    before = {each["id"] for each in await deployed.machines()}
    await deployed.fault(kind="ssh-refused")
    launch = await gateway.launch(userId="held")
    async with asyncio.timeout(60):
        async for event in gateway.follow(launch):
            if event["step"] == "CONNECT":
                break
    [machine] = [each["id"] for each in await deployed.machines() if each["id"] not in before]
    return launch, machine


async def test_launches_end_on_the_build_that_began_them_and_machines_move_to_the_new_one(
    deployed: Deployment, tmp_path: Path, temporal_address: str
) -> None:
    queue = deployed.environment["TEMPORAL_TASK_QUEUE"]
    engine = Engine(await connect(EngineAddress(temporal_address, "default", queue)), queue)
    gateway = await deployed.gateway()
    first = deployed.worker(WORKER_BUILD_ID="first")
    running = await gateway.machine(userId="one")
    held, machine = await held_launch(deployed, gateway)

    deployed.run_server(reordered(tmp_path), "--role", "worker", WORKER_BUILD_ID="second")
    await until(lambda: is_current(engine, "second"))
    new = await gateway.launch(userId="two")
    events_of_new = await gateway.until_over(new)
    await until(lambda: is_on(engine, running, "second"))
    build_of_held = await engine.build_of(launch_workflow_id(key_of("Launch", held) or ""))
    await deployed.fault(kind="ssh-refused", machine=machine, on=False)
    events_of_held = await gateway.until_over(held)
    vm_of_held = (await gateway.data("Launch", {"id": held}))["launch"]["vm"]["id"]
    await until(lambda: is_on(engine, vm_of_held, "second"))
    await until(lambda: is_drained(engine, "first"))
    first.end()
    answers = [await gateway.command("stop", running), await gateway.command("delete", vm_of_held)]
    await gateway.until(running, "STOPPED")
    await gateway.until(vm_of_held, "DELETED")

    assert (build_of_held, begun(events_of_held)) == ("first", ["CONFIGURE_GAME", "VERIFY_STREAM"])
    assert begun(events_of_new) == ["VERIFY_STREAM", "CONFIGURE_GAME"]
    assert [events[-1]["status"] for events in (events_of_held, events_of_new)] == ["READY", "READY"]
    assert [answer["errors"] for answer in answers] == [[], []]
    assert await engine.failures() == []


async def is_current(engine: Engine, build: str) -> bool:
    return await engine.current() == build


async def is_on(engine: Engine, vm_id: str, build: str) -> bool:
    return await engine.build_of(machine_workflow_id(key_of("VM", vm_id) or "")) == build


async def is_drained(engine: Engine, build: str) -> bool:
    return await engine.running_on(build) == []
