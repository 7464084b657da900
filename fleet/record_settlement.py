"""Closes records without a workflow if their cloud does not know the machine, so that they stop costing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from billing.meter import Meter
from errors import ConflictError, ProviderError, UnavailableError, UnreadableRecordError
from fleet.owners import Owners, Workflows, find_launches
from fleet.release import mark_lost
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
        """Set up settlement. Records with a running workflow in `workflows` are left to it."""
        self._db = db
        self._meter = meter
        self._workflows = workflows

    async def settle_unknown(
        self, provider: Provider, vms: Sequence[Vm], listed: Sequence[Machine], *, dry_run: bool
    ) -> list[Action]:
        """Settle records without a workflow whose machines the cloud does not know."""
        known = {machine.id for machine in listed}
        unlisted = [vm for vm in vms if vm.provider_id not in known and vm.status in _IN_USE]
        actions: list[Action] = []
        for vm in await self._find_unowned(await self._find_gone(provider, unlisted)):
            action = Action(
                Verdict.LOSE, provider.name, vm.provider_id or "", vm.tag, vm.id, f"{vm.status}, unknown to the cloud"
            )
            if not dry_run:
                action = replace(action, done=await self._close(vm, action.reason))
            actions.append(action)
        return actions

    async def _close(self, vm: Vm, reason: str) -> bool:
        """Settle one record; return whether that succeeded. An unreadable record does not affect others."""
        try:
            async with audit_span(self._db, service_entry("sweeper", "closeRecord", vm.id, reason)):
                await self.settle(vm, rented=vm.provider_id is not None)
        except UnreadableRecordError as error:
            log.error("failed to close record", extra={"vm": vm.id, "why": error.message})
            return False
        return True

    async def _find_gone(self, provider: Provider, vms: Sequence[Vm]) -> list[Vm]:
        """Return the VMs that the cloud does not know by id either, because lists lag."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def is_gone(vm: Vm) -> bool:
            if vm.provider_id is None:
                return True
            async with slots:
                try:
                    return await provider.machine(MachineId(vm.provider_id)) is None
                except (ProviderError, UnreadableRecordError) as error:
                    log.warning("failed to read machine", extra={"vm": vm.id, "why": error.message})
                    return False

        gone = await asyncio.gather(*map(is_gone, vms))
        return [vm for vm, is_one in zip(vms, gone, strict=True) if is_one]

    async def _find_unowned(self, vms: Sequence[Vm]) -> list[Vm]:
        """Return the VMs without a running workflow, because each status has one owner. LOST ones are the sweeper's."""
        lost_ones = [vm for vm in vms if vm.status is VmStatus.LOST]
        others = [vm for vm in vms if vm.status is not VmStatus.LOST]
        if self._workflows is None or not others:
            return [*lost_ones, *others]
        try:
            owners = await Owners.now(self._workflows)
            launches, unreadable = await find_launches(self._db, others)
            return lost_ones + await owners.find_unowned(
                [vm for vm in others if vm.launch_id not in unreadable], launches
            )
        except UnavailableError as error:
            log.warning("failed to compare records with workflows", extra={"why": error.message})
            return lost_ones

    async def settle(self, vm: Vm, *, rented: bool) -> None:
        """Stop the meter and close the record of a machine that the cloud does not have."""
        now = _now()
        if rented and not await self._meter.has_usage(vm.id):
            await self._meter.record_state(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        ended_at = vm.going_since or now
        try:
            if vm.status in {VmStatus.LOST, VmStatus.DELETING}:
                await self._meter.record_state(vm, None, ended_at)
            else:
                await mark_lost(self._db, self._meter, vm, "the cloud no longer knows it", ended_at)
            await move_vm(self._db, vm.id, VmStatus.DELETED, {"deleted_at": now})
        except ConflictError:
            return  # its own workflow was faster


def _now() -> datetime:
    return datetime.now(UTC)
