"""Nothing is left running: the clouds are asked first, then our records, and every difference is settled.

Only machines whose name carries our tag are ever looked at. A machine without a record is spared until it has been
seen for a while, because lists and records may lag behind each other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from billing.meter import Meter
from errors import ConflictError, ProviderError
from fleet.machines import lost, released
from models.audit import AuditEntry, Outcome, accounted, by_the_service, write_entry
from models.database import Database
from models.launches import ENDED as LAUNCH_ENDED
from models.launches import Launch
from models.strays import Stray
from models.usage import UsageState
from models.vms import ENDED, Vm, VmStatus, move_vm
from providers.base import Machine, MachineId, Provider, ProviderName
from providers.registry import Registry

log = logging.getLogger(__name__)

_OUR_TAG: Final = re.compile(r"gamer-(\d{18})")
_IN_USE: Final = [VmStatus.RUNNING, VmStatus.STOPPING, VmStatus.STOPPED, VmStatus.STARTING, VmStatus.DELETING]


class Verdict(StrEnum):
    SPARE = "SPARE"  # no live record, but not seen for long enough
    DELETE = "DELETE"  # at the cloud, and nobody's
    LOSE = "LOSE"  # on record, and unknown to the cloud: it stops costing


@dataclass(frozen=True, slots=True)
class Action:
    """One difference between a cloud and our records, and what is done about it."""

    verdict: Verdict
    provider: ProviderName
    machine_id: str
    tag: str
    vm_id: str | None
    reason: str
    done: bool = False


class Sweeper:
    def __init__(self, db: Database, registry: Registry, meter: Meter, *, spare_s: float = 300.0) -> None:
        """`spare_s`: how long a machine without a live record is left alone after it was first seen."""
        self._db = db
        self._registry = registry
        self._meter = meter
        self._spare = timedelta(seconds=spare_s)

    async def sweep(self, *, dry_run: bool = False) -> list[Action]:
        """One round over every cloud. A cloud that does not answer is left for the next round, with a word in the log.
        With `dry_run` nothing is changed anywhere."""
        actions: list[Action] = []
        for provider in self._registry.all():
            try:
                actions += await self._sweep(provider, dry_run)
            except ProviderError as error:
                log.warning("a cloud could not be swept", extra={"provider": provider.name, "why": error.message})
        return actions

    async def _sweep(self, provider: Provider, dry_run: bool) -> list[Action]:
        listed = [machine for machine in await provider.machines() if _OUR_TAG.fullmatch(machine.tag)]
        records = await self._records(listed)
        actions = [action for machine in listed if (action := await self._judge(provider, machine, records, dry_run))]
        await self._forget_strays(provider.name, listed, dry_run)
        return actions + await self._unknown_to_the_cloud(provider, listed, dry_run)

    async def _records(self, machines: Sequence[Machine]) -> dict[str, Vm]:
        found = await self._db.find(Vm, {"tag": {"$in": [machine.tag for machine in machines]}})
        return {vm.tag: vm for vm in found}

    async def _judge(
        self, provider: Provider, machine: Machine, records: dict[str, Vm], dry_run: bool
    ) -> Action | None:
        """What to do with a machine that the cloud lists. None: it is where it should be."""
        vm = records.get(machine.tag)
        if vm is not None and await self._is_wanted(vm, machine):
            return None
        reason = "no record of it" if vm is None else f"its record says {vm.status}"
        young = await self._is_young(provider.name, machine, dry_run)
        verdict = Verdict.SPARE if young else Verdict.DELETE
        action = Action(verdict, provider.name, machine.id, machine.tag, None if vm is None else vm.id, reason)
        if verdict is Verdict.SPARE or dry_run:
            return action
        return await self._delete(provider, machine, vm, action)

    async def _is_wanted(self, vm: Vm, machine: Machine) -> bool:
        if vm.status in ENDED or vm.status is VmStatus.LOST:
            return False
        if vm.provider_id is not None and vm.provider_id != machine.id:
            return False  # a second machine under one tag
        if vm.status is not VmStatus.PROVISIONING:
            return True
        launch = await self._db.get(Launch, vm.launch_id)
        return launch is not None and launch.status not in LAUNCH_ENDED

    async def _is_young(self, provider: ProviderName, machine: Machine, dry_run: bool) -> bool:
        now = _now()
        key = f"{provider}:{machine.id}"
        stray = await self._db.get(Stray, key)
        if stray is None:
            stray = Stray(id=key, provider=provider, machine_id=machine.id, tag=machine.tag, first_seen=now)
            if not dry_run:
                await self._db.upsert(Stray, {"_id": key}, {"$setOnInsert": stray.model_dump_doc()})
        return now - stray.first_seen < self._spare

    async def _delete(self, provider: Provider, machine: Machine, vm: Vm | None, action: Action) -> Action:
        log.warning(
            "a machine that is nobody's is deleted",
            extra={"provider": provider.name, "machine": machine.id, "tag": machine.tag, "why": action.reason},
        )
        subject, words = vm.id if vm else machine.tag, f"{provider.name} {machine.id}: {action.reason}"
        try:
            await self._released(provider, machine, vm, by_the_service("sweeper", "deleteStray", subject, words))
            if await provider.machine(machine.id) is not None:
                return action  # the next round looks again
        except ProviderError as error:
            log.warning("a machine could not be deleted yet", extra={"machine": machine.id, "why": error.message})
            return action
        if vm is not None and vm.status not in ENDED and vm.provider_id in {None, machine.id}:
            await self._settle(vm, rented=True)
        await self._db.delete(Stray, {"_id": f"{provider.name}:{machine.id}"})
        return _done(action)

    async def _released(self, provider: Provider, machine: Machine, vm: Vm | None, entry: AuditEntry) -> None:
        """On the audit trail is the first try, and then each one that ends otherwise than the one before it: a machine
        that cannot be deleted is tried again in every round."""
        key = f"{provider.name}:{machine.id}"
        stray = await self._db.get(Stray, key)
        told, outcome = None if stray is None else stray.told, Outcome.FAILED
        try:
            if told is None:
                async with accounted(self._db, entry):
                    await self._asked_for_deletion(provider, machine, vm)
            else:
                await self._asked_for_deletion(provider, machine, vm)
            outcome = Outcome.DONE
        finally:
            if told not in {None, outcome}:
                await write_entry(self._db, entry.model_copy(update={"outcome": outcome}))
            await self._db.update(Stray, {"_id": key}, {"$set": {"told": outcome}})

    async def _asked_for_deletion(self, provider: Provider, machine: Machine, vm: Vm | None) -> None:
        if vm is not None and vm.provider_id in {None, machine.id}:
            await released(self._db, provider, machine, vm)
        else:
            await provider.release(machine.id)

    async def _unknown_to_the_cloud(self, provider: Provider, listed: Sequence[Machine], dry_run: bool) -> list[Action]:
        """Records of machines that the cloud does not know. Lists lag, so each is asked for by its id as well."""
        known = {machine.id for machine in listed}
        actions: list[Action] = []
        for vm in await self._db.find(Vm, {"status": {"$in": [*_IN_USE, VmStatus.LOST]}, "provider": provider.name}):
            if vm.provider_id in known or (
                vm.provider_id is not None and await provider.machine(MachineId(vm.provider_id)) is not None
            ):
                continue
            action = Action(
                Verdict.LOSE, provider.name, vm.provider_id or "", vm.tag, vm.id, f"{vm.status}, unknown to the cloud"
            )
            if not dry_run:
                async with accounted(self._db, by_the_service("sweeper", "closeRecord", vm.id, action.reason)):
                    await self._settle(vm, rented=vm.provider_id is not None)
                action = _done(action)
            actions.append(action)
        return actions

    async def _settle(self, vm: Vm, *, rented: bool) -> None:
        """The cloud does not have it: it stops costing, and its record is closed."""
        now = _now()
        if rented and not await self._meter.knows(vm.id):
            await self._meter.enter(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        ended_at = vm.going_since or now
        try:
            if vm.status in {VmStatus.LOST, VmStatus.DELETING}:
                await self._meter.enter(vm, None, ended_at)
            else:
                await lost(self._db, self._meter, vm, "the cloud does not know it any more", ended_at)
            await move_vm(self._db, vm.id, VmStatus.DELETED, {"deleted_at": now})
        except ConflictError:
            return  # its own workflow was quicker

    async def _forget_strays(self, provider: ProviderName, listed: Sequence[Machine], dry_run: bool) -> None:
        if not dry_run:
            keys = [f"{provider}:{machine.id}" for machine in listed]
            await self._db.delete(Stray, {"_id": {"$nin": keys}, "provider": provider})


def _done(action: Action) -> Action:
    return Action(
        action.verdict, action.provider, action.machine_id, action.tag, action.vm_id, action.reason, done=True
    )


def _now() -> datetime:
    return datetime.now(UTC)
