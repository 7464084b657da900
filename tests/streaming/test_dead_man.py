from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streaming.dead_man import arm
from streaming.keys import KeyPair
from streaming.ssh import Shell
from tests.streaming.simulated import Simulated, machine_with_wolf

TIMER = "/etc/systemd/system/gamer-dead-man.timer"
HOUR_S = 3600.0


@pytest.fixture
async def simulated(tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path, key, clock_factor=10_000) as simulated:
        yield simulated


@pytest.fixture
async def shell(simulated: Simulated) -> AsyncIterator[Shell]:
    async with simulated.ssh.shell(simulated.address) as shell:
        yield shell


async def test_a_machine_that_nobody_asks_for_switches_itself_off(simulated: Simulated, shell: Shell) -> None:
    off = asyncio.Event()
    simulated.park.on_power_off = lambda _: off.set()

    await arm(shell, HOUR_S)

    await asyncio.wait_for(off.wait(), 4)
    assert not simulated.machine.is_on


async def test_the_timer_survives_a_restart_of_the_machine(simulated: Simulated, shell: Shell) -> None:
    await arm(shell, HOUR_S)

    enabled = await shell.run("systemctl", "is-enabled", "gamer-dead-man.timer")
    active = await shell.run("systemctl", "is-active", "gamer-dead-man.timer")

    assert (enabled.text, active.text) == ("enabled", "active")


@pytest.mark.parametrize(("after_s", "written"), [(7201.0, "7260s"), (3600.0, "3600s"), (5.0, "300s"), (-1.0, "300s")])
async def test_the_time_is_rounded_up_and_leaves_time_to_put_it_back(
    simulated: Simulated, shell: Shell, after_s: float, written: str
) -> None:
    await arm(shell, after_s)

    assert f"OnActiveSec={written}\n" in simulated.read(TIMER)


async def test_putting_it_back_begins_the_time_anew(simulated: Simulated, shell: Shell) -> None:
    await arm(shell, HOUR_S)
    await arm(shell, 2 * HOUR_S)

    assert simulated.machine.systemd.timers() == ["gamer-dead-man.timer"]
    assert "OnActiveSec=7200s\n" in simulated.read(TIMER)
