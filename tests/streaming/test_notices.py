"""What Google announces about a machine reaches an open SSH connection: on simulated machines, and by a real shell."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from errors import ProviderBusyError
from models.vms import Notice
from simulator.google.instance_metadata import (
    MAINTENANCE,
    NONE,
    PREEMPTED,
    STOPS,
    TAKEN,
    InstanceMetadata,
)
from streaming.keys import KeyPair
from streaming.notices import SCRIPT, UNIT, await_change, install_watcher, release_shutdown
from streaming.ssh import Shell
from tests.streaming.metadata_server import metadata_server, until
from tests.streaming.simulated import Simulated, machine_with_wolf


@pytest.fixture
async def google(tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    """A machine at Google."""
    async with machine_with_wolf(tmp_path, key) as simulated:
        simulated.machine.metadata = InstanceMetadata()
        yield simulated


@pytest.fixture
async def shell(google: Simulated) -> AsyncIterator[Shell]:
    async with google.ssh.shell(google.address) as shell:
        yield shell


def metadata(google: Simulated) -> InstanceMetadata:
    assert google.machine.metadata is not None
    return google.machine.metadata


async def test_a_machine_that_is_taken_says_so_at_once(google: Simulated, shell: Shell) -> None:
    await install_watcher(shell)
    waiting = asyncio.create_task(await_change(shell, Notice.NONE))
    await asyncio.sleep(0.1)

    metadata(google).write(PREEMPTED, TAKEN)

    assert await asyncio.wait_for(waiting, 5) is Notice.PREEMPTED


async def test_a_notice_from_before_the_connection_is_read(google: Simulated, shell: Shell) -> None:
    metadata(google).write(MAINTENANCE, STOPS)
    await install_watcher(shell)

    assert await asyncio.wait_for(await_change(shell, Notice.NONE), 5) is Notice.MAINTENANCE


async def test_a_maintenance_that_is_called_off_is_read_too(google: Simulated, shell: Shell) -> None:
    metadata(google).write(MAINTENANCE, STOPS)
    await install_watcher(shell)
    waiting = asyncio.create_task(await_change(shell, Notice.MAINTENANCE))
    await asyncio.sleep(0.1)

    assert not waiting.done()
    metadata(google).write(MAINTENANCE, NONE)
    assert await asyncio.wait_for(waiting, 5) is Notice.NONE


async def test_a_metadata_server_that_fails_for_a_while_loses_no_notice(google: Simulated, shell: Shell) -> None:
    metadata(google).failures = 3
    metadata(google).write(PREEMPTED, TAKEN)
    await install_watcher(shell)

    assert await asyncio.wait_for(await_change(shell, Notice.NONE), 5) is Notice.PREEMPTED


async def test_a_watcher_that_writes_nothing_is_an_error_and_no_silence(google: Simulated, shell: Shell) -> None:
    metadata(google).silence(on=True)
    await install_watcher(shell)

    with pytest.raises(ProviderBusyError, match="has written nothing for"):
        await await_change(shell, Notice.NONE, silence_s=0.2)


async def test_a_connection_that_is_lost_is_an_error(google: Simulated, shell: Shell) -> None:
    await install_watcher(shell)
    waiting = asyncio.create_task(await_change(shell, Notice.NONE))
    await asyncio.sleep(0.1)

    google.machine.set_fault("ssh-refused", on=True)

    with pytest.raises(ProviderBusyError):
        await asyncio.wait_for(waiting, 5)


async def test_the_watcher_is_installed_once_and_starts_with_the_machine(google: Simulated, shell: Shell) -> None:
    await install_watcher(shell)
    first = google.machine.systemd.service(UNIT)
    await install_watcher(shell)

    assert google.machine.systemd.service(UNIT) is first
    assert google.machine.systemd.state(UNIT) == "active"
    links = google.machine.root_files.listdir("/etc/systemd/system/multi-user.target.wants")
    assert UNIT in links


async def test_a_shutdown_waits_for_the_saves_and_then_goes_on(google: Simulated, shell: Shell) -> None:
    google.machine.clock.factor = 1
    await install_watcher(shell)
    await until(lambda: google.machine.shutdown_delay.is_held)

    off = google.machine.press_power_button()
    assert (await shell.run("true")).exit_status == 0
    assert google.machine.is_on

    await release_shutdown(shell)
    await asyncio.wait_for(off, 5)
    assert not google.machine.is_on


async def test_a_shutdown_is_delayed_for_a_limited_time_only(google: Simulated, shell: Shell) -> None:
    await install_watcher(shell)
    await until(lambda: google.machine.shutdown_delay.is_held)

    await asyncio.wait_for(google.machine.press_power_button(), 5)  # 27 seconds of the machine's time

    assert not google.machine.is_on


async def test_a_real_shell_writes_nothing_that_is_not_a_plain_word(tmp_path: Path) -> None:
    metadata = InstanceMetadata()
    metadata.write(PREEMPTED, "$(touch hacked); TRUE")
    async with metadata_server(metadata) as host, script_running(tmp_path, host):
        await until(lambda: MAINTENANCE in names_in(tmp_path))

    assert names_in(tmp_path) == [MAINTENANCE]


@asynccontextmanager
async def script_running(folder: Path, host: str) -> AsyncIterator[None]:
    """The watcher as systemd runs it, by this system's own /bin/sh and curl."""
    environment = {"PATH": os.environ["PATH"], "RUNTIME_DIRECTORY": str(folder), "GCE_METADATA_HOST": host}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", SCRIPT, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
