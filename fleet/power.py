"""Turns machines off and on after securing the player's saves. Every activity may be repeated."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from temporalio import activity

from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from errors import ConflictError, GatewayError, MachineLostError
from fleet.health import stop_warning
from fleet.inputs import LostMachine, PairDevice, Replacement, SavesWarning, StatusChange, VmRef
from fleet.machine_operations import OnBoard, address_of, require_vm
from fleet.messages import IncidentKind, Off
from fleet.power_state import OFF, off_since, while_on
from fleet.release import mark_lost
from fleet.save_upload import secure_saves
from models.audit import service_entry, write_with
from models.database import Database, Document
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from models.usage import UsageState
from models.vms import ENDED, Notice, Vm, VmStatus, move_vm
from providers.base import Machine, MachineId, MachineState, Provider
from providers.registry import Registry

log = logging.getLogger(__name__)

_STARTS_OF_A_BROKEN_ONE: Final = 3
_ON: Final = frozenset({MachineState.RUNNING, MachineState.STARTING, MachineState.CREATING})
_CLOSED: Final = frozenset({VmStatus.LOST, *ENDED})
_METERED: Final = frozenset({VmStatus.RUNNING, VmStatus.STOPPED})
_ANNOUNCED: Final = frozenset({IncidentKind.PREEMPTED, IncidentKind.MAINTENANCE})
_UNBILLED: Final = frozenset({MachineState.STOPPED_RELEASED, MachineState.VANISHED})


class Replacing(Protocol):
    """Sets up another machine for the game on this one."""

    async def replace(self, vm: Vm, key: str) -> str:
        """Return the id of the launch that does it; the same one for the same key. Raises a GatewayError."""
        ...


class PowerActivities:
    """Activities of a machine's workflow that change its power state, its saves and its record."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        onboard: OnBoard,
        meter: Meter,
        replacing: Replacing | None = None,
        *,
        poll_s: float = 2.0,
    ) -> None:
        """Set up the activities. Without `replacing`, a machine that lost its hardware stays off and says so."""
        self._db = db
        self._registry = registry
        self._onboard = onboard
        self._meter = meter
        self._replacing = replacing
        self._poll_s = poll_s
        self._alerts = OperatorAlerts(db)

    @activity.defn(name="status")
    async def read_status(self, ref: VmRef) -> VmStatus:
        return (await require_vm(self._db, ref.vm_id)).status

    @activity.defn(name="enter")
    async def write_status(self, change: StatusChange) -> None:
        """Write a status with its related fields. The meter is written first, so that no status shows unmetered use."""
        status, reason, since = change.status, change.reason, change.since
        now = _now()
        vm = await require_vm(self._db, change.vm_id)
        if vm.status in _CLOSED and status in _METERED:
            raise ConflictError(f"VM {vm.id} is {vm.status}: it no longer costs anything")
        if status is VmStatus.STOPPED:
            await self._meter.record_state(
                vm, UsageState.RUNNING if change.billed else UsageState.STOPPED, since or now
            )
        elif status is VmStatus.RUNNING:
            await self._meter.record_state(vm, UsageState.RUNNING, since or now)
        by_host = change.found == IncidentKind.STOPPED_OUTSIDE
        announced = change.found in _ANNOUNCED
        by_cloud = by_host or announced
        fields = {"detail": reason or None, **_fields(vm, status, now, change.billed, by_host=by_cloud)}
        if by_host and status is VmStatus.STOPPED and vm.status is not VmStatus.STOPPED:
            fields["warning"] = (
                f"The machine was stopped at {since or now:%H:%M} UTC, but not by this service: {reason}"
            )
            await self._alerts.raise_alert(
                AlertLevel.WARNING, OperatorAlertCode.MACHINE_STOPPED_BY_HOST, vm.id, f"{reason} ({vm.provider})"
            )
        if announced and status is VmStatus.STOPPING:
            fields["warning"] = f"{reason}. The saves are being uploaded"
        if status is VmStatus.STOPPED and (warning := stop_warning(reason, now)) is not None:
            fields["warning"] = warning
        try:
            await self._move(vm, status, fields, change.found)
        except ConflictError:
            if (await require_vm(self._db, vm.id)).status in _CLOSED:  # closed by the sweeper just now
                await self._meter.record_state(vm, None, now)
            raise

    @activity.defn(name="save")
    async def save(self, ref: VmRef) -> bool:
        """End the sessions, upload the saves and verify the upload.

        Returns False if saves exist on the machine alone.
        """
        vm = await require_vm(self._db, ref.vm_id)
        await while_on(self._registry, vm, self._onboard.end_sessions(address_of(vm)))
        safe = await while_on(self._registry, vm, secure_saves(self._db, self._onboard, vm))
        await self._db.update(Vm, {"_id": vm.id}, {"$set": {"saves_pending": not safe}})
        return safe

    @activity.defn(name="saves_are_safe")
    async def are_saves_safe(self, ref: VmRef) -> bool:
        """Return whether a deletion need not wait for saves: they are elsewhere, or the deletion is final."""
        vm = await require_vm(self._db, ref.vm_id)
        decided = vm.status is VmStatus.DELETING and vm.is_deletion_decided
        return decided or not vm.saves_pending

    @activity.defn(name="alarm")
    async def warn_of_saves(self, warning: SavesWarning) -> None:
        """Record saves that need attention: on the VM until they are safe, and in the log."""
        log.error("machine needs attention", extra={"vm": warning.vm_id, "why": warning.reason})
        await self._db.update(Vm, {"_id": warning.vm_id}, {"$set": {"saves_warning": warning.reason}})

    @activity.defn(name="stop")
    async def stop(self, ref: VmRef) -> Off:
        """Request a stop and wait until the cloud reports the machine as off. A machine that is gone counts as off."""
        vm = await require_vm(self._db, ref.vm_id)
        provider, machine_id = self._registry.get(vm.provider), _machine_id(vm)
        while True:
            machine = await provider.machine(machine_id)
            if machine is None or machine.state in OFF:
                billed = machine is not None and machine.state not in _UNBILLED
                return Off(billed, off_since(vm, machine))
            if machine.state is not MachineState.STOPPING:
                await provider.stop(machine_id)
            await asyncio.sleep(self._poll_s)

    @activity.defn(name="start")
    async def start(self, ref: VmRef) -> None:
        """Request a start, and wait until the machine runs, has an address, and its stream responds.

        The meter runs from the moment when the cloud accepted the start, and not at all if it did not.
        """
        vm = await require_vm(self._db, ref.vm_id)
        machine = await self._start_and_wait(vm, self._registry.get(vm.provider), _machine_id(vm))
        ports = {str(internal): external for internal, external in machine.ports.items()}
        found = {"ip_address": machine.ip_address, "ports": ports}
        vm = await self._db.update(Vm, {"_id": vm.id}, {"$set": found}) or vm
        host_key = await self._onboard.read_host_key(address_of(vm))
        if vm.ssh_host_key is None:
            vm = await self._db.update(Vm, {"_id": vm.id}, {"$set": {"ssh_host_key": host_key}}) or vm
        await self._onboard.wake(address_of(vm))

    @activity.defn(name="replace")
    async def replace(self, replacement: Replacement) -> None:
        """Set up another machine for the game on this one, because its hardware was given to others."""
        if self._replacing is None:
            return
        vm_id = replacement.vm_id
        try:
            launch_id = await self._replacing.replace(await require_vm(self._db, vm_id), replacement.key)
        except GatewayError as error:
            told = f"Its hardware was given away, and no other machine is available: {error.message}"
            await self._db.update(Vm, {"_id": vm_id}, {"$set": {"warning": told}})
            return
        told = "Its hardware was given away: another machine is being set up with the same game and saves"
        await self._db.update(Vm, {"_id": vm_id}, {"$set": {"warning": told, "replacement_launch_id": launch_id}})

    @activity.defn(name="pair")
    async def pair(self, device: PairDevice) -> None:
        """Pair a device.

        Raises InvalidInputError for a wrong PIN and InvalidStateError if no device requests pairing.
        """
        pin = device.pin
        await self._onboard.pair(address_of(await require_vm(self._db, device.vm_id)), pin.pin, pin.user_id)
        await self._db.update(Vm, {"_id": device.vm_id}, {"$set": {"paired": True, "last_activity_at": _now()}})

    @activity.defn(name="lose")
    async def record_loss(self, lost: LostMachine) -> None:
        """Record that the cloud no longer knows the machine, which costs nothing since then, and warn the player."""
        vm = await require_vm(self._db, lost.vm_id)
        if vm.status in ENDED:
            return  # written by an attempt whose response was lost
        vm = await mark_lost(self._db, self._meter, vm, lost.detail, lost.there_at or _now())
        await write_with(
            self._db,
            lambda: move_vm(self._db, lost.vm_id, VmStatus.DELETED, {"deleted_at": _now()}),
            lambda vm: service_entry("watch", f"{IncidentKind.GONE}:{VmStatus.DELETED}", vm.id, lost.detail),
        )

    async def _move(self, vm: Vm, status: VmStatus, fields: Document, found: str) -> None:
        if not found or vm.status is status:
            await move_vm(self._db, vm.id, status, fields)
            return
        await write_with(
            self._db,
            lambda: move_vm(self._db, vm.id, status, fields),
            lambda vm: service_entry("watch", f"{found}:{status}", vm.id, fields["detail"] or ""),
        )

    async def _start_and_wait(self, vm: Vm, provider: Provider, machine_id: MachineId) -> Machine:
        """Start the machine and return it once it runs.

        Raises NoCapacityError if its hardware was given to others, and MachineLostError if it is gone or broken for
        good.
        """
        asked = False
        while True:
            machine = await provider.machine(machine_id)
            if machine is None or machine.state is MachineState.VANISHED:
                raise MachineLostError("the cloud no longer knows it")
            if machine.state in _ON:
                await self._meter.record_state(vm, UsageState.RUNNING, _turned_on_at(vm))
            if machine.state is MachineState.RUNNING and machine.ip_address:
                return machine
            if machine.state is MachineState.BROKEN and (asked or activity.info().attempt > _STARTS_OF_A_BROKEN_ONE):
                raise MachineLostError("the cloud reports that it is broken")
            if machine.state in OFF:
                if machine.made_anew_by_start:
                    # Before the start, so that a worker that takes over later does not expect the old key.
                    await self._db.update(Vm, {"_id": vm.id}, {"$set": {"ssh_host_key": None}})
                asked_at = _now()
                vm = await self._db.update(Vm, {"_id": vm.id}, {"$set": {"start_asked_at": asked_at}}) or vm
                await provider.start(machine_id)
                asked = True
                await self._meter.record_state(vm, UsageState.RUNNING, asked_at)
            await asyncio.sleep(self._poll_s)


def _turned_on_at(vm: Vm) -> datetime:
    """Return when a machine that runs without our record of it was started: after this work was ordered.

    An attempt that lost its response started it.
    """
    ordered_at, asked_at = activity.info().scheduled_time, vm.start_asked_at
    return ordered_at if asked_at is None or asked_at < ordered_at else asked_at


def _fields(vm: Vm, status: VmStatus, now: datetime, billed: bool, *, by_host: bool) -> Document:
    """Return the fields that change with a status, based on the previous status.

    A repeated activity finds them changed. The status after a stop by the host keeps the warning about it.
    """
    fields: Document = {}
    if status is not VmStatus.RUNNING:
        fields |= {"stop_warning": None, "health_warning": None, "library_warning": None}
        fields |= {"notice": Notice.NONE, "announced_stop_at": None}
    runs_again = status is VmStatus.RUNNING and vm.status is VmStatus.STARTING
    if (status is VmStatus.STOPPING or runs_again) and not by_host:
        fields["warning"] = None
    if status in _METERED and vm.deletion_decided_at is not None:
        fields["deletion_decided_at"] = None
    if status is VmStatus.STOPPED:
        fields["billed_in_full"] = billed
        if vm.status not in {VmStatus.STOPPED, VmStatus.DELETING}:
            fields |= {"stopped_at": now, "stops_at": None}
    if status is VmStatus.RUNNING and vm.status is not VmStatus.RUNNING:
        fields |= {"saves_pending": True, "billed_in_full": False}
    if runs_again:
        stops_at = now + timedelta(hours=vm.max_session_hours)
        fields |= {"stopped_at": None, "last_activity_at": now, "stops_at": stops_at, "replacement_launch_id": None}
    return fields


def _machine_id(vm: Vm) -> MachineId:
    if vm.provider_id is None:
        raise MachineLostError(f"VM {vm.id} was never rented")
    return MachineId(vm.provider_id)


def _now() -> datetime:
    return datetime.now(UTC)
