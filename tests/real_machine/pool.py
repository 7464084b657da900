"""Real machines where the simulated TensorDock puts its own: its HTTP API stays, the machines behind it are real."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.addresses import MachineAddress
from tests.real_machine.machine import RealMachine


class RealMachinePool:
    """Keeps `simulator.park.Park`. Each machine gets an address of its own in 127.83.0.0/16."""

    def __init__(self, folder: Path, disk: Path) -> None:
        self.machines: dict[str, RealMachine] = {}
        self._folder = folder
        self._disk = disk
        self._addresses = (f"127.83.0.{number}" for number in itertools.count(1))

    async def create(
        self,
        machine_id: str,
        *,
        user: str,
        authorized_keys: Sequence[str],
        cloud_init: Mapping[str, Any] | None,
        packages: Sequence[str] = (),
    ) -> MachineAddress:
        if machine_id not in self.machines:
            folder = self._folder / machine_id
            machine = RealMachine(f"machine-{len(self.machines) + 1}", next(self._addresses), folder, self._disk)
            await asyncio.to_thread(machine.make, user, authorized_keys, cloud_init)
            self.machines[machine_id] = machine
        return MachineAddress(self.machines[machine_id].ip)

    async def power_on(self, machine_id: str) -> None:
        await self.machines[machine_id].power_on()

    async def power_off(self, machine_id: str) -> None:
        await self.machines[machine_id].power_off()

    async def destroy(self, machine_id: str) -> None:
        if machine := self.machines.pop(machine_id, None):
            await machine.discard()

    async def restore(self) -> None:
        """Know nothing of an earlier run: every machine ends with its pool."""

    def set_fault(self, machine_id: str | None, fault: str, on: bool) -> None:
        raise ValueError(f"real machines have no ordered faults: {fault}")

    async def close(self) -> None:
        for machine_id in list(self.machines):
            await self.destroy(machine_id)
