"""A simulated machine with Wolf on it, as CloudyPad leaves one, and the player's side of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.clock import Clock
from simulator.cloudypad.setup import MachineSetup
from simulator.machines.container import WolfShape
from simulator.machines.machine import Machine
from simulator.machines.pool import MachinePark
from simulator.machines.wolf.server import Wolf
from streaming.addresses import Address
from streaming.keys import KeyPair
from streaming.ssh import Ssh

ID = "machine-1"
CONFIG = 'hostname = "gamer-1"\nconfig_version = 6\npaired_clients = []\n'


@dataclass
class Simulated:
    park: MachinePark
    ssh: Ssh
    address: Address

    @property
    def machine(self) -> Machine:
        return self.park.machine(ID)

    @property
    def wolf(self) -> Wolf:
        return self.park.wolf(ID)

    def read(self, path: str) -> str:
        return self.machine.root_files.read_text(path)


@asynccontextmanager
async def machine_with_wolf(
    folder: Path, key: KeyPair, shape: WolfShape = WolfShape.NEWER, *, clock_factor: float = 100
) -> AsyncIterator[Simulated]:
    park = MachinePark(folder, Clock(clock_factor))
    try:
        place = await park.create(ID, user="user", authorized_keys=[key.public_key])
        await park.power_on(ID)
        ports = [place.port(port) for port in (47984, 47989, 48010)]
        simulated = Simulated(park, Ssh(key), Address(place.ip, place.port(22), "user", None, *ports))
        simulated.machine.wolf_shape = shape
        setup = MachineSetup(simulated.machine, "user")
        await setup.install_docker()
        setup.write_readiness()
        setup.write_wolf_config(CONFIG)
        setup.write_compose_file()
        await setup.start_wolf()
        yield simulated
    finally:
        await park.close()
