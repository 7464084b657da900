"""Records whose machines their cloud does not know: what no workflow answers for stops costing and is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from billing.meter import Meter
from errors import ConflictError, ProviderError, UnavailableError, UnreadableRecordError
from fleet.owners import Owners, Workflows, launches_of
from fleet.provisioning import lost
from fleet.sweep_plan import Action, Verdict
from models.audit import audit_span, service_entry
from models.database import Database
from models.usage import UsageState
from models.vms import ENDED, Vm, VmStatus, move_vm
from providers.base import Machine, MachineId, Provider

log = logging.getLogger(__name__)

_AT_ONCE: Final = 16
_IN_USE: Final = frozenset(VmStatus) - ENDED - {VmStatus.PROVISIONING}


class RecordSettlement:
    def __init__(self, db: Database, meter: Meter, workflows: Workflows | None) -> None:
        """Records that one of `workflows` answers for are left to it."""
        self._db = db
        self._meter = meter
        self._workflows = workflows

    async def settle_unknown(
        self, provider: Provider, vms: Sequence[Vm], listed: Sequence[Machine], *, dry_run: bool
    ) -> list[Action]:
        """Settle records of machines that the cloud does not know, of which no workflow takes care."""
        known = {machine.id for machine in listed}
        unlisted = [vm for vm in vms if vm.provider_id not in known and vm.status in _IN_USE]
        actions: list[Action] = []
        for vm in await self._unowned(await self._gone(provider, unlisted)):
            action = Action(
                Verdict.LOSE, provider.name, vm.provider_id or "", vm.tag, vm.id, f"{vm.status}, unknown to the cloud"
            )
            if not dry_run:
                action = replace(action, done=await self._closed(vm, action.reason))
            actions.append(action)
        return actions

    async def _closed(self, vm: Vm, reason: str) -> bool:
        """Settle one record, and return whether that was done. What cannot be read of it holds up no other."""
        try:
            async with audit_span(self._db, service_entry("sweeper", "closeRecord", vm.id, reason)):
                await self.settle(vm, rented=vm.provider_id is not None)
        except UnreadableRecordError as error:
            log.error("a record could not be closed", extra={"vm": vm.id, "why": error.message})
            return False
        return True

    async def _gone(self, provider: Provider, vms: Sequence[Vm]) -> list[Vm]:
        """Return those that the cloud does not know by their ids either: lists lag."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def is_gone(vm: Vm) -> bool:
            if vm.provider_id is None:
                return True
            async with slots:
                try:
                    return await provider.machine(MachineId(vm.provider_id)) is None
                except (ProviderError, UnreadableRecordError) as error:
                    log.warning("machine could not be asked for", extra={"vm": vm.id, "why": error.message})
                    return False

        gone = await asyncio.gather(*map(is_gone, vms))
        return [vm for vm, is_one in zip(vms, gone, strict=True) if is_one]

    async def _unowned(self, vms: Sequence[Vm]) -> list[Vm]:
        """Return those that no running workflow answers for: each state has one owner. LOST ones are the sweeper's."""
        lost_ones = [vm for vm in vms if vm.status is VmStatus.LOST]
        others = [vm for vm in vms if vm.status is not VmStatus.LOST]
        if self._workflows is None or not others:
            return [*lost_ones, *others]
        try:
            owners = await Owners.now(self._workflows)
            launches, unreadable = await launches_of(self._db, others)
            return lost_ones + await owners.unowned([vm for vm in others if vm.launch_id not in unreadable], launches)
        except UnavailableError as error:
            log.warning("records and workflows could not be compared", extra={"why": error.message})
            return lost_ones

    async def settle(self, vm: Vm, *, rented: bool) -> None:
        """The cloud does not have it: it stops costing, and its record is closed."""
        now = _now()
        if rented and not await self._meter.has_usage(vm.id):
            await self._meter.record_state(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        ended_at = vm.going_since or now
        try:
            if vm.status in {VmStatus.LOST, VmStatus.DELETING}:
                await self._meter.record_state(vm, None, ended_at)
            else:
                await lost(self._db, self._meter, vm, "the cloud does not know it any more", ended_at)
            await move_vm(self._db, vm.id, VmStatus.DELETED, {"deleted_at": now})
        except ConflictError:
            return  # its own workflow was quicker


def _now() -> datetime:
    return datetime.now(UTC)
