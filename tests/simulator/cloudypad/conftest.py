"""The stand-in's executable in a home of its own, beside a simulated world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from simulator.simulation import Simulation, SimulationOptions
from tests.simulator.cloudypad.tool import Tool


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with Simulation(SimulationOptions(state_dir=tmp_path / "world", clock_factor=2000)) as simulation:
        yield simulation


@pytest.fixture
def tool(world: Simulation, tmp_path: Path) -> Tool:
    return Tool(world.environment()["CLOUDYPAD_COMMAND"], tmp_path / "home")


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id_ed25519"
    path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    path.chmod(0o600)
    return path
