"""Settles every difference between the clouds and our records, so that no unused machine keeps running.

The clouds are listed before our records are read. Only machines with this deployment's tag are touched. A machine
without a live record is spared until it has been seen for a while, because lists and records may lag behind each other.
Machines that only look like orphans because a database was lost or restored wait for an operator: see
`fleet.sweep_plan`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from billing.meter import Meter
from errors import GatewayError, ProviderError, UnavailableError, UnreadableRecordError
from fleet.owners import Owners, Workflows
from fleet.reconciliation import Reconciliation
from fleet.record_settlement import RecordSettlement
from fleet.release import request_release
from fleet.sweep_alerts import SweepAlerts
from fleet.sweep_plan import (
    STRANGE,
    UNMANAGED,
    Action,
    Found,
    Inventory,
    Verdict,
    apply_brake,
    is_foreign,
    reason_to_hold,
)
from fleet.warm_pool.records import find_pooled, was_taken
from models.audit import AuditEntry, Outcome, audit_span, service_entry, write_entry
from models.database import Database
from models.launches import ENDED as LAUNCH_ENDED
from models.launches import Launch
from models.orphans import OrphanMachine, Sweep
from models.vms import ENDED, Vm, VmStatus
from providers.base import Machine, MachineId, Provider, ProviderName
from providers.registry import Registry
from providers.tags import parse_tag

log = logging.getLogger(__name__)

_AT_ONCE: Final = 16  # ids per database query
_GAP: Final = timedelta(minutes=15)
_ALIVE: Final = sorted(frozenset(VmStatus) - ENDED)


@dataclass(frozen=True, slots=True)
class _Look:
    """One cloud compared with our records.

    `ours` are all its machines with our name, `vms` the cloud's records that have not ended.
    """

    provider: Provider
    ours: Sequence[Machine]
    vms: Sequence[Vm]
    found: Sequence[Found]
    foreign: Sequence[Action]


class Sweeper:
    def __init__(
        self,
        db: Database,
        registry: Registry,
        meter: Meter,
        *,
        deployment: str = "main",
        inventories: Sequence[Inventory] = (),
        spare_s: float = 300.0,
        workflows: Workflows | None = None,
    ) -> None:
        """Set up the sweeper.

        `deployment` is part of our machines' names. `spare_s`: how long a machine without a live record is spared after
        it was first seen. Records with a running workflow in `workflows` are left to it.
        """
        self._db = db
        self._registry = registry
        self._meter = meter
        self._deployment = deployment
        self._inventories = inventories
        self._alerts = SweepAlerts(db)
        self._spare = timedelta(seconds=spare_s)
        self._workflows = workflows
        self._settlement = RecordSettlement(db, meter, workflows)

    async def sweep(self, *, dry_run: bool = False, confirm: bool = False) -> list[Action]:
        """Settle every difference once, cloud by cloud. A cloud that does not respond is left for the next round.

        With `dry_run`, nothing is changed anywhere. With `confirm`, an operator allows the deletion of what earlier
        rounds held.
        """
        looks = [look for provider in self._registry.all() if (look := await self._look(provider, dry_run))]
        found = [each for look in looks for each in look.found]
        if not confirm:
            found = apply_brake(found, sum(len(look.ours) for look in looks))
        else:
            found = [_confirm(each) for each in found]
        actions = [action for look in looks for action in look.foreign]
        actions += await self._restart_workflows([vm for look in looks for vm in look.vms], dry_run)
        unmanaged = await self._find_unmanaged()
        if not dry_run:  # before any deletion, so that no error there hides what waits
            await self._alert_operators([*actions, *(each.action for each in found), *unmanaged], looks)
        for look in looks:
            here = [each for each in found if each.action.provider is look.provider.name]
            actions += [await self._do(look.provider, each, dry_run) for each in here]
            if not dry_run:
                await self._forget_orphans(look, {each.machine.id for each in here})
            actions += await self._settlement.settle_unknown(look.provider, look.vms, look.ours, dry_run=dry_run)
        return actions + unmanaged

    async def _alert_operators(self, actions: Sequence[Action], looks: Sequence[_Look]) -> None:
        try:
            await self._alerts.update(actions, [look.provider.name for look in looks])
        except UnreadableRecordError as error:
            log.error("failed to alert operators to a sweep", extra={"why": error.message})

    async def _look(self, provider: Provider, dry_run: bool) -> _Look | None:
        """Compare a cloud's list with our records; None if it does not respond."""
        try:
            named = [machine for machine in await provider.machines() if parse_tag(machine.tag) is not None]
        except ProviderError as error:
            log.warning("failed to sweep provider", extra={"provider": provider.name, "why": error.message})
            return None
        pooled = await find_pooled(self._db, named)
        vms, _ = await self._db.find_readable(Vm, {"status": {"$in": _ALIVE}, "provider": provider.name})
        records, unreadable = await self._records(named, vms)
        listed = [machine for machine in named if not _is_of(machine, unreadable)]
        strangers = {each.id for each in listed if is_foreign(each, self._deployment, records.get(each.tag))}
        ours = [machine for machine in listed if machine.id not in strangers]
        begun = _now()
        since = await self._swept_since(provider.name, begun)
        after_gap = since is not None and begun - since <= self._spare
        judged = [one for one in ours if one.id not in pooled]
        found = [each for one in judged if (each := await self._judge(provider, one, records, after_gap, dry_run))]
        if not dry_run:
            # After the orphans: a sweep that is interrupted before keeps the gap.
            await self._db.replace(Sweep(id=provider.name, at=begun, since=since))
        foreign = [_foreign(provider.name, machine) for machine in listed if machine.id in strangers]
        return _Look(provider, ours, vms, found, foreign)

    async def _records(
        self, machines: Sequence[Machine], known: Sequence[Vm] = ()
    ) -> tuple[dict[str, Vm], frozenset[str]]:
        """Return the records of machines by name, and the ids of unreadable ones. `known` were already read."""
        records = {vm.tag: vm for vm in known}
        unread = [parts.vm_id for one in machines if one.tag not in records and (parts := parse_tag(one.tag))]
        unreadable: set[str] = set()
        for start in range(0, len(unread), _AT_ONCE):
            some = {"_id": {"$in": unread[start : start + _AT_ONCE]}}
            found, strange = await self._db.find_readable(Vm, some)
            records |= {vm.tag: vm for vm in found}
            unreadable |= {each.id for each in strange}
        return records, frozenset(unreadable)

    async def _swept_since(self, provider: ProviderName, now: datetime) -> datetime | None:
        """Return since when this cloud has been swept without a gap: now after a gap; None from an earlier version.

        Lists lag: a machine that the first list after a gap lacks, and a list soon after it has, is older than the gap
        too.
        """
        try:
            last = await self._db.get(Sweep, provider)
        except UnreadableRecordError:
            return now  # earlier sweeps are unknown
        return now if last is None or now - last.at > _GAP else last.since

    async def _judge(
        self, provider: Provider, machine: Machine, records: dict[str, Vm], after_gap: bool, dry_run: bool
    ) -> Found | None:
        """Return what to do with a listed machine of ours; None if nothing."""
        vm = records.get(machine.tag)
        if vm is not None and await self._is_wanted(vm, machine):
            return None
        reason = "no record of it" if vm is None else f"its record has status {vm.status}"
        try:
            stray = await self._find_orphan(provider.name, machine, after_gap, dry_run)
        except UnreadableRecordError:
            action = Action(
                Verdict.HOLD, provider.name, machine.id, machine.tag, None if vm is None else vm.id, STRANGE
            )
            return Found(machine, vm, action)
        young = _now() - stray.first_seen < self._spare
        verdict = Verdict.SPARE if young else Verdict.DELETE
        action = Action(verdict, provider.name, machine.id, machine.tag, None if vm is None else vm.id, reason)
        found = Found(machine, vm, action, repeats=vm is not None and vm.is_deletion_decided)
        if young:
            return found
        taken = vm is None and await was_taken(self._db, machine)
        hold = reason_to_hold(machine, vm, predates=stray.predates, taken=taken) or (reason if stray.held else None)
        return found if hold is None else found.hold(hold)

    async def _is_wanted(self, vm: Vm, machine: Machine) -> bool:
        if vm.status in ENDED or vm.status is VmStatus.LOST:
            return False
        if vm.provider_id is not None and vm.provider_id != machine.id:
            return False  # a second machine with the same tag
        if vm.status is not VmStatus.PROVISIONING:
            return True
        try:
            launch = await self._db.get(Launch, vm.launch_id)
        except UnreadableRecordError:
            return True
        return launch is not None and launch.status not in LAUNCH_ENDED

    async def _find_orphan(
        self, provider: ProviderName, machine: Machine, after_gap: bool, dry_run: bool
    ) -> OrphanMachine:
        key = f"{provider}:{machine.id}"
        stray = await self._db.get(OrphanMachine, key)
        if stray is None:
            stray = OrphanMachine(
                id=key,
                provider=provider,
                machine_id=machine.id,
                tag=machine.tag,
                first_seen=_now(),
                predates=after_gap,
            )
            if not dry_run:
                await self._db.upsert(OrphanMachine, {"_id": key}, {"$setOnInsert": stray.model_dump_doc()})
        return stray

    async def _do(self, provider: Provider, found: Found, dry_run: bool) -> Action:
        if dry_run or found.action.verdict is Verdict.SPARE:
            return found.action
        if found.action.verdict is Verdict.HOLD:
            key = f"{provider.name}:{found.machine.id}"
            await self._db.update_many(OrphanMachine, {"_id": key}, {"$set": {"held": True}})
            return found.action
        try:
            return await self._delete(provider, found.machine, found.vm, found.action)
        except UnavailableError:
            raise
        except GatewayError as error:
            log.error(
                "failed to settle the records of a machine",
                extra={"machine": found.machine.id, "why": error.message},
            )
            return found.action

    async def _find_unmanaged(self) -> list[Action]:
        """Return machines that can only be reported, because they cannot be deleted from here."""
        actions: list[Action] = []
        for inventory in self._inventories:
            try:
                machines = await inventory.unmanaged()
            except ProviderError as error:
                log.warning("failed to sweep provider", extra={"provider": inventory.name, "why": error.message})
                continue
            records, unreadable = await self._records(machines)
            for machine in machines:
                if _is_of(machine, unreadable):
                    continue
                foreign = is_foreign(machine, self._deployment, records.get(machine.tag))
                verdict = Verdict.FOREIGN if foreign else Verdict.HOLD
                actions.append(Action(verdict, inventory.name, machine.id, machine.tag, None, UNMANAGED))
        return actions

    async def _delete(self, provider: Provider, machine: Machine, vm: Vm | None, action: Action) -> Action:
        log.warning(
            "deleting orphaned machine",
            extra={"provider": provider.name, "machine": machine.id, "tag": machine.tag, "why": action.reason},
        )
        subject, words = vm.id if vm else machine.tag, f"{provider.name} {machine.id}: {action.reason}"
        try:
            await self._release(provider, machine, vm, service_entry("sweeper", "deleteStray", subject, words))
            if await provider.machine(machine.id) is not None:
                return action  # the next round reads again
        except ProviderError as error:
            log.warning("machine deletion failed, retrying", extra={"machine": machine.id, "why": error.message})
            return action
        if vm is not None and vm.status not in ENDED and vm.provider_id in {None, machine.id}:
            await self._settlement.settle(vm, rented=True)
        await self._db.delete(OrphanMachine, {"_id": f"{provider.name}:{machine.id}"})
        return _mark_done(action)

    async def _release(self, provider: Provider, machine: Machine, vm: Vm | None, entry: AuditEntry) -> None:
        """Delete the machine with an audit entry.

        The first try is in the audit log, and then each one with another outcome than the previous one, because a
        machine that cannot be deleted is tried in every round.
        """
        key = f"{provider.name}:{machine.id}"
        told, outcome = await self._audited_outcome(key), Outcome.FAILED
        try:
            if told is None:
                async with audit_span(self._db, entry):
                    await self._request_deletion(provider, machine, vm)
            else:
                await self._request_deletion(provider, machine, vm)
            outcome = Outcome.DONE
        finally:
            if told not in {None, outcome}:
                await write_entry(self._db, entry.model_copy(update={"outcome": outcome}))
            await self._db.update_many(OrphanMachine, {"_id": key}, {"$set": {"told": outcome}})

    async def _audited_outcome(self, key: str) -> Outcome | None:
        """Return the outcome in the audit log of a machine's deletion so far."""
        try:
            stray = await self._db.get(OrphanMachine, key)
        except UnreadableRecordError:
            return None
        return None if stray is None else stray.told

    async def _request_deletion(self, provider: Provider, machine: Machine, vm: Vm | None) -> None:
        if vm is not None and vm.provider_id in {None, machine.id}:
            await request_release(self._db, provider, machine, vm)
        else:
            await provider.release(machine.id)

    async def _restart_workflows(self, vms: Sequence[Vm], dry_run: bool) -> list[Action]:
        """Start the workflows of records that have none. If Temporal does not respond, the next round does it."""
        if self._workflows is None or dry_run:
            return []
        try:
            owners = await Owners.now(self._workflows)
            restarted = await Reconciliation(self._db, self._workflows, self._deployment).restart_workflows(owners, vms)
        except UnavailableError as error:
            log.warning("failed to compare records with workflows", extra={"why": error.message})
            return []
        why = "it had no workflow"
        return [
            Action(Verdict.RESTART, vm.provider, vm.provider_id or "", vm.tag, vm.id, why, done=True)
            for vm in restarted
        ]

    async def _forget_orphans(self, look: _Look, still: Set[MachineId]) -> None:
        """Forget orphans that no longer are.

        A machine that is missing from one list stays held for an operator: only a live record or the cloud's
        confirmation that it is gone ends that.
        """
        keys = [f"{look.provider.name}:{machine_id}" for machine_id in still]
        strays, _ = await self._db.find_readable(OrphanMachine, {"_id": {"$nin": keys}, "provider": look.provider.name})
        wanted = {machine.id for machine in look.ours} - still
        for stray in strays:
            machine_id = MachineId(stray.machine_id)
            waits = (stray.held or stray.predates or stray.started_at is not None) and machine_id not in wanted
            if not waits or await _is_gone(look.provider, machine_id):
                await self._db.delete(OrphanMachine, {"_id": stray.id})


async def _is_gone(provider: Provider, machine_id: MachineId) -> bool:
    """Return whether the cloud states that it does not have the machine."""
    try:
        return await provider.machine(machine_id) is None
    except (ProviderError, UnreadableRecordError) as error:
        log.warning("failed to read machine", extra={"machine": machine_id, "why": error.message})
        return False


def _is_of(machine: Machine, vm_ids: frozenset[str]) -> bool:
    parts = parse_tag(machine.tag)
    return parts is not None and parts.vm_id in vm_ids


def _mark_done(action: Action) -> Action:
    return replace(action, done=True)


def _confirm(found: Found) -> Found:
    held = found.action.verdict is Verdict.HOLD
    return replace(found, action=replace(found.action, verdict=Verdict.DELETE)) if held else found


def _foreign(provider: ProviderName, machine: Machine) -> Action:
    return Action(Verdict.FOREIGN, provider, machine.id, machine.tag, None, "of another installation; left alone")


def _now() -> datetime:
    return datetime.now(UTC)
