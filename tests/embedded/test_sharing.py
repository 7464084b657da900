"""Real processes, killed the hard way: what is left behind must be found again and must not outlive its last user."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from embedded.ports import accepts
from tests.embedded.stub import gone, is_alive, port_of, process_id


@asynccontextmanager
async def service(folder: Path, *names: str) -> AsyncIterator[Process]:
    """A service process whose children answer."""
    command = (sys.executable, "-m", "tests.embedded.service_process", str(folder), *(names or ("stub",)))
    process = await create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
        yield process
    finally:
        await leave(process)


async def leave(process: Process, sign: signal.Signals = signal.SIGTERM) -> int:
    if process.returncode is None:
        process.send_signal(sign)
    return await asyncio.wait_for(process.wait(), 20)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_the_only_service_ends_its_children(tmp_path: Path, sign: signal.Signals) -> None:
    async with service(tmp_path) as only:
        child = process_id(tmp_path / "stub")

        assert await leave(only, sign) == 0

        assert not is_alive(child)


async def test_a_killed_service_leaves_a_child_that_the_next_one_uses_and_ends(tmp_path: Path) -> None:
    async with service(tmp_path) as killed:
        child = process_id(tmp_path / "stub")
        await leave(killed, signal.SIGKILL)
        assert is_alive(child)

    async with service(tmp_path) as successor:
        assert process_id(tmp_path / "stub") == child
        await leave(successor)

    assert not is_alive(child)


async def test_what_died_with_a_killed_service_is_started_again_on_its_port(tmp_path: Path) -> None:
    async with service(tmp_path) as killed:
        port, child = port_of(tmp_path / "stub"), process_id(tmp_path / "stub")
        await leave(killed, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        assert await gone(tmp_path / "stub")

    async with service(tmp_path):
        assert process_id(tmp_path / "stub") != child
        assert port_of(tmp_path / "stub") == port
        assert await accepts(port)


async def test_two_services_share_a_child_and_the_last_to_leave_ends_it(tmp_path: Path) -> None:
    async with service(tmp_path) as first:
        child = process_id(tmp_path / "stub")
        async with service(tmp_path) as second:
            assert process_id(tmp_path / "stub") == child

            await leave(first)
            assert is_alive(child)

            await leave(second)
            assert not is_alive(child)


async def test_services_that_start_at_the_same_moment_start_one_child(tmp_path: Path) -> None:
    async with service(tmp_path, "a"), asyncio.TaskGroup() as together:
        tasks = [together.create_task(_child_of_a_service(tmp_path)) for _ in range(3)]

    assert len({task.result() for task in tasks}) == 1


async def _child_of_a_service(folder: Path) -> int:
    async with service(folder, "stub"):
        return process_id(folder / "stub")


async def test_the_last_to_leave_ends_what_others_started(tmp_path: Path) -> None:
    async with service(tmp_path, "database", "engine") as first, service(tmp_path, "engine") as second:
        database, engine = process_id(tmp_path / "database"), process_id(tmp_path / "engine")

        await leave(first)
        assert is_alive(database)

        await leave(second)
        assert not is_alive(database)
        assert not is_alive(engine)


async def test_a_child_that_dies_under_two_services_comes_back_once(tmp_path: Path) -> None:
    async with service(tmp_path), service(tmp_path):
        port, child = port_of(tmp_path / "stub"), process_id(tmp_path / "stub")

        os.kill(child, signal.SIGKILL)

        async with asyncio.timeout(10):
            while is_alive(child) or not await accepts(port):
                pass
        assert process_id(tmp_path / "stub") != child
        assert not await gone(tmp_path / "stub", within_s=0)
