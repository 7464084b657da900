"""Turning machines off and on, with the player's saves brought to safety first. Every activity may be repeated."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from temporalio import activity

from billing.meter import Meter
from errors import MachineLostError
from fleet.commands import Pin
from fleet.onboard import OnBoard, address_of, slot_of
from models.database import Database, Document
from models.usage import UsageState
from models.vms import Vm, VmStatus, move_vm
from providers.base import MachineId, MachineState
from providers.registry import Registry

log = logging.getLogger(__name__)

_OFF = {MachineState.STOPPED, MachineState.STOPPED_RELEASED}


class Power:
    """The activities of a machine's life that change its power, its saves and its record."""

    def __init__(
        self, db: Database, registry: Registry, onboard: OnBoard, meter: Meter, *, poll_s: float = 2.0
    ) -> None:
        self._db = db
        self._registry = registry
        self._onboard = onboard
        self._meter = meter
        self._poll_s = poll_s

    @activity.defn
    async def status(self, vm_id: str) -> VmStatus:
        return (await self._vm(vm_id)).status

    @activity.defn
    async def enter(self, vm_id: str, status: VmStatus, reason: str) -> None:
        """Write a status down, with what belongs to it. The meter goes first: no status shows what is not metered."""
        now = _now()
        vm = await self._vm(vm_id)
        fields: Document = {"detail": reason or None}
        if status in {VmStatus.STARTING, VmStatus.STOPPING}:
            fields["warning"] = None
        if status is VmStatus.STOPPED and vm.status not in {VmStatus.STOPPED, VmStatus.DELETING}:
            fields |= {"stopped_at": now, "stops_at": None}
        if status is VmStatus.RUNNING and vm.status is VmStatus.STARTING:
            fields |= {
                "stopped_at": None,
                "last_activity_at": now,
                "stops_at": now + timedelta(hours=vm.max_session_hours),
                "saves_pending": True,
            }
        if status is VmStatus.STOPPED:
            await self._meter.enter(vm, UsageState.STOPPED, now)
        elif status in {VmStatus.RUNNING, VmStatus.STARTING}:
            await self._meter.enter(vm, UsageState.RUNNING, now)
        await move_vm(self._db, vm_id, status, fields)

    @activity.defn
    async def save(self, vm_id: str) -> bool:
        """End what is played, upload the saves, check that they arrived whole."""
        vm = await self._vm(vm_id)
        if (slot := await slot_of(self._db, vm)) is not None:
            await self._onboard.end_sessions(address_of(vm))
            await self._onboard.upload_saves(address_of(vm), slot)
        await self._db.update(Vm, {"_id": vm_id}, {"$set": {"saves_pending": False, "saved_at": _now()}})
        return True

    @activity.defn
    async def saves_are_safe(self, vm_id: str) -> bool:
        return not (await self._vm(vm_id)).saves_pending

    @activity.defn
    async def alarm(self, vm_id: str, what: str) -> None:
        """Something that a person should look at: on the VM, and in the log."""
        log.error("machine needs attention", extra={"vm": vm_id, "why": what})
        await self._db.update(Vm, {"_id": vm_id}, {"$set": {"warning": what}})

    @activity.defn
    async def stop(self, vm_id: str) -> None:
        """Ask the cloud, and wait until it says that the machine is off. A machine that is gone counts as off."""
        vm = await self._vm(vm_id)
        provider, machine_id = self._registry.get(vm.provider), _machine_id(vm)
        while True:
            machine = await provider.machine(machine_id)
            if machine is None or machine.state in _OFF:
                return
            if machine.state is not MachineState.STOPPING:
                await provider.stop(machine_id)
            await asyncio.sleep(self._poll_s)

    @activity.defn
    async def start(self, vm_id: str) -> None:
        """Ask the cloud, wait until it runs, find its address, and wait until the stream answers."""
        vm = await self._vm(vm_id)
        provider, machine_id = self._registry.get(vm.provider), _machine_id(vm)
        while True:
            machine = await provider.machine(machine_id)
            if machine is None:
                raise MachineLostError("the cloud does not know it any more")
            if machine.state is MachineState.RUNNING and machine.ip_address:
                break
            if machine.state in _OFF:
                await provider.start(machine_id)
            await asyncio.sleep(self._poll_s)
        ports = {str(internal): external for internal, external in machine.ports.items()}
        started = await self._db.update(
            Vm, {"_id": vm_id}, {"$set": {"ip_address": machine.ip_address, "ports": ports}}
        )
        await self._onboard.wake(address_of(started or vm))

    @activity.defn
    async def pair(self, vm_id: str, pin: Pin) -> None:
        """Raises InvalidInputError for a wrong PIN, InvalidStateError when no device asks to be paired."""
        await self._onboard.pair(address_of(await self._vm(vm_id)), pin.pin, pin.user_id)
        await self._db.update(Vm, {"_id": vm_id}, {"$set": {"paired": True, "last_activity_at": _now()}})

    @activity.defn
    async def lose(self, vm_id: str, detail: str) -> None:
        """The cloud does not know it any more: it costs nothing from now on, and the player is told."""
        now = _now()
        vm = await move_vm(self._db, vm_id, VmStatus.LOST, {"detail": detail, "stops_at": None})
        await self._meter.enter(vm, None, now)
        await move_vm(self._db, vm_id, VmStatus.DELETED, {"deleted_at": now})

    async def _vm(self, vm_id: str) -> Vm:
        vm = await self._db.get(Vm, vm_id)
        if vm is None:
            raise MachineLostError(f"VM {vm_id} has no record")
        return vm


def _machine_id(vm: Vm) -> MachineId:
    if vm.provider_id is None:
        raise MachineLostError(f"VM {vm.id} was never rented")
    return MachineId(vm.provider_id)


def _now() -> datetime:
    return datetime.now(UTC)
