"""Whole launches through the gateway: TensorDock's API is simulated, the machines that it rents out are real."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from simulator.simulation import Simulation, SimulationOptions
from tests.e2e.service import Deployment, Gateway, forget_schedules
from tests.real_machine.machine import RealMachine, run_on
from tests.real_machine.pool import RealMachinePool
from tests.real_machine.world import BUCKET, Player, cloudypad_command

pytestmark = pytest.mark.timeout(900)
TETRIS = {"console": "GB", "gameId": "tetris"}
ZELDA = {"console": "SNES", "gameId": "zelda"}
HOME = "/var/lib/cloudypad/wolf/developer/GB-tetris"
MEMORY_CARD = ".config/retroarch/saves/tetris.srm"


@dataclass
class World:
    deployed: Deployment
    gateway: Gateway
    machines: RealMachinePool

    async def launched(self, **changes: object) -> str:
        """Launch a game and return its VM's id once it is READY."""
        launch_id = await self.gateway.launch(**changes)
        async with asyncio.timeout(400):
            events = [event async for event in self.gateway.follow(launch_id)]
        assert events[-1]["status"] == "READY", events[-1]
        launch = (await self.gateway.data("Launch", {"id": launch_id}))["launch"]
        return str(launch["vm"]["id"])

    async def machine_of(self, vm_id: str) -> RealMachine:
        address = (await self.gateway.vm(vm_id))["ipAddress"]
        return next(machine for machine in self.machines.machines.values() if machine.ip == address)

    @property
    def key(self) -> Path:
        return self.deployed.folder / "data" / "ssh" / "id_ed25519"


@pytest.fixture
async def world(
    tmp_path: Path, disk: Path, bucket_url: str, mongodb_uri: str, temporal_address: str
) -> AsyncIterator[World]:
    machines = RealMachinePool(tmp_path / "machines", disk)
    options = SimulationOptions(tmp_path / "world", clock_factor=50, privileged_ports=True)
    async with Simulation(options, park=machines) as simulation, aiohttp.ClientSession() as http:
        given = simulation.environment()
        environment = {
            **{name: value for name, value in given.items() if name.startswith("TENSORDOCK_")},
            "CLOUDYPAD_COMMAND": str(cloudypad_command(tmp_path / "cloudypad")),
            "GCS_BUCKET_NAME": BUCKET,
            "GCS_ENDPOINT_URL": bucket_url,
            "MONGODB_ATLAS_URI": mongodb_uri,
            "MONGODB_DATABASE": f"real_{secrets.token_hex(5)}",
            "TEMPORAL_ADDRESS": temporal_address,
            "TEMPORAL_TASK_QUEUE": f"real-{secrets.token_hex(5)}",
            "DATA_DIR": str(tmp_path / "data"),
            "SSH_KEY_PATH": str(tmp_path / "data" / "ssh" / "id_ed25519"),
        }
        deployed = Deployment(tmp_path, environment, simulation.control_url, http)
        try:
            deployed.worker()
            yield World(deployed, await deployed.gateway(), machines)
        finally:
            for process in deployed.processes:
                if process.popen.poll() is None:
                    await asyncio.to_thread(process.end)
            await forget_schedules(temporal_address, environment["TEMPORAL_TASK_QUEUE"])


async def test_a_save_of_the_first_game_is_there_after_a_second_game_a_stop_and_a_new_machine(world: World) -> None:
    first = await world.launched(**TETRIS)
    machine = await world.machine_of(first)
    player = Player(machine, world.key)
    await player.write(f"{HOME}/{MEMORY_CARD}", b"level 7")

    second = await world.launched(**ZELDA)
    assert (await world.gateway.command("stop", first))["errors"] == []
    await world.gateway.until(first, "STOPPED")
    off = machine.running
    assert (await world.gateway.command("start", first))["errors"] == []
    await world.gateway.until(first, "RUNNING")
    kept = await run_on(machine, world.key, "sudo", "cat", f"{HOME}/{MEMORY_CARD}")
    assert (await world.gateway.command("delete", first))["errors"] == []
    await world.gateway.until(first, "DELETED")
    left = list(world.machines.machines)
    third = await world.launched(**TETRIS)
    restored = await run_on(await world.machine_of(third), world.key, "sudo", "cat", f"{HOME}/{MEMORY_CARD}")

    assert (off, kept.stdout, restored.stdout) == (False, "level 7", "level 7")
    assert first != third
    assert len(left) == (0 if second == first else 1)
