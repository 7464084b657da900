"""Deletes what was rented, until the cloud confirms that nothing remains. Every activity may be repeated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio import activity

from billing.meter import Meter
from errors import (
    ConflictError,
    GatewayError,
    ProviderError,
    UnavailableError,
)
from fleet.inputs import VmRef
from fleet.machine_operations import require_vm
from fleet.messages import Released
from models.database import Database, Document
from models.usage import UsageState
from models.vms import ENDED, Vm, VmStatus, move_vm
from providers.base import Machine, MachineId, MachineState, Provider
from providers.registry import Registry
from providers.tags import parse_tag

log = logging.getLogger(__name__)

Forget = Callable[[str], Awaitable[None]]


class ReleaseActivities:
    """Activities that delete machines at a cloud, and write a VM's status while they do."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        meter: Meter,
        forget: Forget | None = None,
        *,
        settle_s: float,
        poll_s: float = 2.0,
        deployment: str = "main",
    ) -> None:
        """Set up the activities.

        `forget` is called with the tag of a machine that is gone. `settle_s`: how long after its permit an order may be
        missing from lists. `poll_s`: pause between reads. `deployment` is part of the machines' names.
        """
        self._forget = forget
        self._db = db
        self._registry = registry
        self._meter = meter
        self._settle = timedelta(seconds=settle_s)
        self._poll_s = poll_s
        self._deployment = deployment
        self._given_back: dict[str, datetime] = {}  # by VM: deleted before its record could be written

    @activity.defn(name="release")
    async def release(self, ref: VmRef) -> Released:
        """Delete everything with the VM's tag until the cloud reports that nothing remains.

        A VM that has already ended counts as success. While the database is unavailable, the machine is deleted all the
        same, so that it stops costing; the records follow with the next attempt.
        """
        try:
            return await self._release(ref.vm_id)
        except UnavailableError:
            await self._give_back(ref.vm_id)
            raise

    async def _release(self, vm_id: str) -> Released:
        vm = await self._db.get(Vm, vm_id)
        if vm is None:
            return Released(gone=True, message="Nothing was rented")
        if vm.status in ENDED:
            await self._meter.record_state(vm, None, vm.going_since or _now())
            return Released(gone=True, message="Nothing was rented")
        never_ordered = {"_id": vm_id, "status": VmStatus.PROVISIONING, "provider_id": None, "ordered_at": None}
        if await self._db.update(Vm, never_ordered, {"$set": {"status": VmStatus.FAILED}}) is not None:
            return Released(gone=True, message="Nothing was rented")
        # From here on no order is permitted, so the recorded order is the last one.
        vm = await self._move(vm, VmStatus.DELETING, {"deletion_decided_at": vm.deletion_decided_at or _now()})
        if (given_back_at := self._given_back.pop(vm_id, None)) is not None and vm.going_since is None:
            await _set_going_since(self._db, vm, given_back_at)
        seen: set[MachineId] = {MachineId(vm.provider_id)} if vm.provider_id else set()
        provider = self._registry.get(vm.provider)
        while True:
            if await self._delete_once(provider, vm, seen):
                break
            await asyncio.sleep(self._poll_s)
        await self._end_metering(vm, rented=bool(seen))
        await self._forget_tag(vm)
        await self._move(vm, VmStatus.DELETED if seen else VmStatus.FAILED, {"deleted_at": _now()})
        # Again: an overtaken rent attempt may have started the meter before the record was closed.
        await self._meter.record_state(vm, None, vm.going_since or _now())
        return Released(gone=True, message="The cloud confirmed that the machine is gone")

    @activity.defn(name="give_up")
    async def give_up(self, ref: VmRef) -> None:
        """Mark the VM as LOST, for the sweeper, because the cloud has not confirmed its deletion in time.

        A VM that has ended since then, or has no record, is unchanged.
        """
        vm = await self._db.get(Vm, ref.vm_id)
        if vm is not None and vm.status not in ENDED:
            await self._move(vm, VmStatus.LOST, {"detail": "its deletion could not be confirmed"})

    async def _move(self, vm: Vm, to: VmStatus, changes: Document | None = None) -> Vm:
        """Change the VM's status, unless it has already ended."""
        try:
            return await move_vm(self._db, vm.id, to, changes)
        except ConflictError:
            now = await require_vm(self._db, vm.id)
            if now.status not in ENDED:
                raise
            return now

    async def _give_back(self, vm_id: str) -> None:
        """Request the deletion of the VM's machine at every cloud by name alone, without reading the records."""
        for provider in self._registry.all():
            try:
                for machine in await provider.machines():
                    tag = parse_tag(machine.tag)
                    if tag is not None and tag.vm_id == vm_id and tag.deployment in {None, self._deployment}:
                        log.warning("deleting machine before its record is written", extra={"vm": vm_id})
                        await provider.release(machine.id)
                        self._given_back.setdefault(vm_id, _now())
            except GatewayError as error:
                log.warning("machine deletion failed, retrying", extra={"vm": vm_id, "why": error.message})

    async def _delete_once(self, provider: Provider, vm: Vm, seen: set[MachineId]) -> bool:
        """Delete everything with the tag and read the list again, once.

        `seen` collects every machine that had the tag.
        """
        listed = {machine.id for machine in await provider.machines() if machine.tag == vm.tag}
        for machine_id in listed - seen:
            await self._record_found(vm, machine_id)
        seen |= listed
        left = False
        for machine_id in sorted(seen):
            try:
                if (machine := await provider.machine(machine_id)) is not None:
                    left = True
                    await request_release(self._db, provider, machine, vm)
            except ProviderError as error:
                left = True
                log.warning("machine deletion failed, retrying", extra={"vm": vm.id, "why": str(error)})
        if left or listed:
            return False
        # An order whose response was lost may still appear in the list.
        return bool(seen) or vm.order_refused or is_settled(vm, self._settle)

    async def _record_found(self, vm: Vm, machine_id: MachineId) -> None:
        """Record a machine that was not on record, which has cost since it was ordered.

        It is recorded before its deletion, because a worker that takes over afterwards would find no trace of it.
        """
        if not await self._meter.has_usage(vm.id):
            await self._meter.record_state(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        await self._db.update(Vm, {"_id": vm.id, "provider_id": None}, {"$set": {"provider_id": machine_id}})

    async def _forget_tag(self, vm: Vm) -> None:
        try:
            if self._forget is not None:
                await self._forget(vm.tag)
        except ProviderError as error:
            log.warning("failed to remove local state of a machine", extra={"vm": vm.id, "why": error.message})

    async def _end_metering(self, vm: Vm, *, rented: bool) -> None:
        """Stop the meter. A machine that was found only now has cost since it was ordered."""
        if rented and not await self._meter.has_usage(vm.id):
            await self._meter.record_state(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        await self._meter.record_state(vm, None, vm.going_since or _now())


async def request_release(db: Database, provider: Provider, machine: Machine, vm: Vm) -> None:
    """Request deletion and set `going_since` before the call (its response may be lost) and again when it succeeds.

    If the machine is not DELETING, the time is renewed, so it stays billed until this request.
    """
    if asked := vm.going_since is None or machine.state is not MachineState.DELETING:
        await _set_going_since(db, vm)
    await provider.release(machine.id)
    if asked:
        await _set_going_since(db, vm)


async def mark_lost(db: Database, meter: Meter, vm: Vm, detail: str, at: datetime) -> Vm:
    """Record that the cloud no longer has the machine: it costs nothing from `at` on, and lost saves are reported."""
    gone: Document = {"detail": detail, "stops_at": None, "stop_warning": None, "health_warning": None}
    gone["library_warning"] = None
    if vm.saves_pending:
        since = "" if vm.saved_at is None else f" after {vm.saved_at:%H:%M} UTC"
        gone["saves_warning"] = f"Progress on this machine{since} is lost"
    vm = await move_vm(db, vm.id, VmStatus.LOST, gone)
    await meter.record_state(vm, None, at)
    return vm


async def _set_going_since(db: Database, vm: Vm, since: datetime | None = None) -> None:
    vm.going_since = since or _now()
    await db.update(Vm, {"_id": vm.id}, {"$set": {"going_since": vm.going_since}})


def is_settled(vm: Vm, settle: timedelta) -> bool:
    """Return whether the cloud has had the time to list the VM's machine if there is one."""
    return vm.ordered_at is None or _now() - vm.ordered_at > settle


def _now() -> datetime:
    return datetime.now(UTC)
