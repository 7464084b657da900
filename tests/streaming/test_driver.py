from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulator.machines.packages import DRIVER
from streaming.driver import has_driver
from streaming.keys import KeyPair
from streaming.ssh import Shell
from tests.streaming.simulated import Simulated, machine_with_wolf


@pytest.fixture
async def simulated(tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path, key) as simulated:
        yield simulated


@pytest.fixture
async def shell(simulated: Simulated) -> AsyncIterator[Shell]:
    async with simulated.ssh.shell(simulated.address) as shell:
        yield shell


async def test_a_driver_of_the_image_is_found(simulated: Simulated, shell: Shell) -> None:
    assert not await has_driver(shell)

    simulated.machine.packages.preinstall([DRIVER])

    assert await has_driver(shell)


async def test_a_driver_that_wolf_cannot_use_counts_as_none(simulated: Simulated, shell: Shell) -> None:
    simulated.machine.packages.preinstall([DRIVER])
    simulated.machine.root_files.write("/sys/module/nvidia_drm/parameters/modeset", "N\n")

    assert not await has_driver(shell)
