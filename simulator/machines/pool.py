"""The machines of the simulated clouds."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator import addresses
from simulator.addresses import MachineAddress
from simulator.clock import Clock
from simulator.machines.machine import Machine
from simulator.machines.programs.launcher import FRESH_PROGRAMS, execute
from simulator.machines.wolf.server import Wolf
from simulator.registry.catalog import ImageCatalog

MACHINE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")


class UnknownMachineError(Exception):
    """No machine has this id."""


class MachinePark:
    """Machines that are SSH servers on loopback, each with a disk under `folder`.

    `on_power_off` is called with the id of a machine that was switched off from inside. `privileged_ports` and
    `own_addresses` say what the system allows; None finds out.
    """

    def __init__(
        self, folder: Path, clock: Clock, *, privileged_ports: bool | None = None, own_addresses: bool | None = None
    ) -> None:
        self.on_power_off: Callable[[str], Awaitable[None] | None] | None = None
        self._folder = folder / "machines"
        self._clock = clock
        self._privileged_ports = privileged_ports
        self._own_addresses = own_addresses
        self.images = ImageCatalog()
        self._machines: dict[str, Machine] = {}
        self._faults: set[str] = set()

    async def create(
        self,
        machine_id: str,
        *,
        user: str,
        authorized_keys: Sequence[str],
        cloud_init: Mapping[str, Any] | None = None,
        packages: Sequence[str] = (),
        prepare_disk: Callable[[Path], None] | None = None,
    ) -> MachineAddress:
        """Create a machine, powered off, with an address that stays its own. One that is there is left as it is.

        Its image brings the `packages`. `prepare_disk` may put a disk into the machine's folder; the host key is always
        new.
        """
        if machine_id in self._machines:
            return self.address(machine_id)
        if not MACHINE_ID.fullmatch(machine_id):
            raise ValueError(f"not an id of a machine: {machine_id!r}")
        folder = self._folder / machine_id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if prepare_disk:
            prepare_disk(folder)
        machine = self._machine(machine_id, self._choose_address(machine_id))
        machine.create(user, list(authorized_keys), cloud_init, FRESH_PROGRAMS)
        machine.packages.preinstall(packages)
        self._remember(machine)
        return machine.address

    async def power_on(self, machine_id: str) -> None:
        """Switch on, and return when SSH answers. May be repeated."""
        await self.machine(machine_id).power_on()

    async def power_off(self, machine_id: str) -> None:
        """Switch off at once, like a power cut. May be repeated."""
        await self.machine(machine_id).power_off()

    async def destroy(self, machine_id: str) -> None:
        """Delete a machine and its disk. May be repeated."""
        if machine := self._machines.pop(machine_id, None):
            await machine.discard()
            shutil.rmtree(self._folder / machine_id)

    async def restore(self) -> None:
        """Load the machines of an earlier run, all powered off."""
        for file in sorted(self._folder.glob("*/address.json")):
            remembered = json.loads(file.read_text())
            ports = {int(internal): external for internal, external in remembered["ports"].items()}
            self._machine(file.parent.name, MachineAddress(remembered["ip"], ports))

    def address(self, machine_id: str) -> MachineAddress:
        return self.machine(machine_id).address

    def set_fault(self, machine_id: str | None, fault: str, on: bool) -> None:
        """Set or clear a fault of one machine, or of all present and future ones."""
        if machine_id is None:
            (self._faults.add if on else self._faults.discard)(fault)
        for machine in self._machines.values() if machine_id is None else [self.machine(machine_id)]:
            machine.set_fault(fault, on=on)

    def machine(self, machine_id: str) -> Machine:
        if machine_id not in self._machines:
            raise UnknownMachineError(machine_id)
        return self._machines[machine_id]

    def machines(self) -> list[str]:
        return sorted(self._machines)

    def wolf(self, machine_id: str) -> Wolf:
        """Return the Wolf that runs on a machine, to act on it as a player. Raises LookupError when none runs."""
        return self.machine(machine_id).containers.wolf()

    async def close(self) -> None:
        """Switch all machines off; their disks stay."""
        for machine in self._machines.values():
            await machine.discard()
        self._machines.clear()

    def _machine(self, machine_id: str, address: MachineAddress) -> Machine:
        folder = self._folder / machine_id
        machine = Machine(
            *(folder, machine_id, address, self._clock, self.images), powered_off=self._powered_off, execute=execute
        )
        machine.faults |= self._faults
        self._machines[machine_id] = machine
        return machine

    def _choose_address(self, machine_id: str) -> MachineAddress:
        taken = {machine.address.ip for machine in self._machines.values()}
        seed = f"{self._folder.absolute()}/{machine_id}"
        return addresses.choose(seed, taken, privileged_ports=self._privileged_ports, own_addresses=self._own_addresses)

    def _remember(self, machine: Machine) -> None:
        remembered = {"ip": machine.address.ip, "ports": machine.address.ports}
        draft = self._folder / machine.name / "address.new"
        draft.write_text(json.dumps(remembered))
        draft.replace(draft.with_suffix(".json"))

    async def _powered_off(self, machine_id: str) -> None:
        if self.on_power_off:
            reaction = self.on_power_off(machine_id)
            if inspect.isawaitable(reaction):
                await reaction
