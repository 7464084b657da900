from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import ProviderError
from streaming.dead_man_switch import arm_shutdown_timer
from streaming.keys import KeyPair
from streaming.ssh import Shell
from tests.streaming.simulated import ID, Simulated, machine_with_wolf

TIMER = "/etc/systemd/system/gamer-dead-man.timer"
HOUR_S = 3600.0


@pytest.fixture
async def simulated(tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path, key, clock_factor=60) as simulated:
        yield simulated


@pytest.fixture
async def shell(simulated: Simulated) -> AsyncIterator[Shell]:
    async with simulated.ssh.shell(simulated.address) as shell:
        yield shell


async def test_a_machine_that_nobody_asks_for_switches_itself_off(tmp_path: Path, key: KeyPair) -> None:
    async with machine_with_wolf(tmp_path, key, clock_factor=1800) as simulated:
        off = asyncio.Event()
        simulated.park.on_power_off = lambda _: off.set()

        async with simulated.ssh.shell(simulated.address) as shell:
            with contextlib.suppress(ProviderError):  # a slow tester's machine goes off before the last command ends
                await arm_shutdown_timer(shell, HOUR_S)

        await asyncio.wait_for(off.wait(), 10)
        assert not simulated.machine.is_on


async def test_the_timer_survives_a_restart_of_the_machine(simulated: Simulated, shell: Shell) -> None:
    await arm_shutdown_timer(shell, HOUR_S)

    await simulated.park.power_off(ID)
    await simulated.park.power_on(ID)
    while not simulated.machine.systemd.timers():
        await simulated.machine.clock.sleep(1)

    assert simulated.machine.systemd.timers() == ["gamer-dead-man.timer"]


@pytest.mark.parametrize(("after_s", "written_s"), [(7201.0, 7260), (3600.0, 3600), (5.0, 300), (-1.0, 300)])
async def test_the_time_is_rounded_up_and_leaves_time_to_put_it_back(
    simulated: Simulated, shell: Shell, after_s: float, written_s: int
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    await arm_shutdown_timer(shell, after_s)
    after = datetime.now(UTC)

    text = simulated.read(TIMER)
    moment = datetime.strptime(text.split("OnCalendar=")[1].splitlines()[0], "%Y-%m-%d %H:%M:%S UTC").replace(
        tzinfo=UTC
    )
    assert before <= moment - timedelta(seconds=written_s) <= after
    assert int(text.split("OnBootSec=")[1].split("s")[0]) >= written_s
    assert "OnActiveSec" not in text


async def test_putting_it_back_begins_the_time_anew(simulated: Simulated, shell: Shell) -> None:
    await arm_shutdown_timer(shell, HOUR_S)
    first = simulated.read(TIMER)
    await arm_shutdown_timer(shell, 2 * HOUR_S)

    assert simulated.machine.systemd.timers() == ["gamer-dead-man.timer"]
    assert simulated.read(TIMER) > first


async def test_reloading_the_units_of_others_does_not_move_the_end(tmp_path: Path, key: KeyPair) -> None:
    async with machine_with_wolf(tmp_path, key, clock_factor=1800) as simulated:
        off = asyncio.Event()
        simulated.park.on_power_off = lambda _: off.set()
        async with simulated.ssh.shell(simulated.address) as shell:
            begun = simulated.machine.clock.now()
            await arm_shutdown_timer(shell, HOUR_S)
            with contextlib.suppress(ProviderError):  # the machine goes off in the middle of one
                while not off.is_set():
                    await shell.sudo("systemctl", "daemon-reload")
            await asyncio.wait_for(off.wait(), 10)

        assert simulated.machine.clock.now() - begun < 3 * HOUR_S


async def test_a_machine_that_has_run_for_long_is_not_switched_off_at_once(tmp_path: Path, key: KeyPair) -> None:
    async with machine_with_wolf(tmp_path, key, clock_factor=1) as simulated:
        simulated.machine.booted_at -= 100 * HOUR_S
        async with simulated.ssh.shell(simulated.address) as shell:
            await arm_shutdown_timer(shell, HOUR_S)
            await shell.sudo("systemctl", "daemon-reload")

            assert (await shell.run("true")).exit_status == 0
        assert "OnBootSec=3636" in simulated.read(TIMER)
