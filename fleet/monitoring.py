"""Monitors one machine: its state at the cloud, its use, and its time limits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from billing.meter import Meter
from errors import MachineLostError, ProviderError
from fleet.health import Health, count_check, find_unmeasured, last_reading
from fleet.inputs import CheckInput
from fleet.interruptions import gives_notices
from fleet.machine_operations import OnBoard, address_of
from fleet.messages import CheckResult, Incident, IncidentKind, MonitorState
from fleet.power_state import OFF, off_since
from fleet.prices import ProviderPrices
from fleet.save_upload import secure_saves
from models.database import Database, Document
from models.launches import ENDED as LAUNCH_ENDED
from models.launches import Launch
from models.limits import AlertLevel
from models.vms import ENDED, Vm, VmStatus
from providers.base import Machine, MachineId, MachineState
from providers.registry import Registry
from streaming.machine import Activity

log = logging.getLogger(__name__)

_LIBRARY_LOST: Final = (
    "The game lost access to the game library. It is available again: quit the game in Moonlight and start it"
)

_MAINTAINED: Final = "Google stops the machine for maintenance"
_BEFORE_MAINTENANCE: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """Intervals of checks in seconds, and how long stopped machines are kept."""

    look_s: float = 20.0
    look_stopped_s: float = 300.0
    upload_every_s: float = 300.0
    upload_urgent_s: float = 60.0  # while the provider's account runs out within a quarter of an hour
    price_every_s: float = 600.0
    warn_before_s: float = 300.0
    dead_man_margin_s: float = 1800.0
    retention_h: float = 48.0
    retention_billed_h: float = 1.0  # for machines that are off but charged in full


class MonitoringActivities:
    def __init__(self, db: Database, registry: Registry, onboard: OnBoard, times: WatchTimes) -> None:
        self._db = db
        self._registry = registry
        self._onboard = onboard
        self._times = times
        self._health = Health(db)
        self._prices = ProviderPrices(db, Meter(db))

    @activity.defn(name="look")
    async def check_machine(self, check: CheckInput) -> CheckResult:
        """Check everything once. Writes what it sees of the player's activity, never the status. May be repeated."""
        memory = check.memory
        vm = await self._db.get(Vm, check.vm_id)
        if vm is None:
            raise MachineLostError(f"VM {check.vm_id} has no record")
        if (looked := await self._check_without_cloud(vm, memory)) is not None:
            return looked
        looked_at = _now()
        try:
            if (seen := await self._check_cloud(vm, memory)) is not None:
                return CheckResult(replace(seen, there_at=memory.there_at, seen_at=seen.seen_at or _now()), memory)
            memory = replace(memory, there_at=looked_at)
        except ProviderError as error:
            log.warning("failed to read machine from cloud", extra={"vm": vm.id, "why": error.message})
        if (seen := self._check_record(vm, memory)) is not None:
            return CheckResult(seen, memory)
        if vm.status is not VmStatus.RUNNING:
            cheap = vm.status is VmStatus.STOPPED and not vm.billed_in_full
            return CheckResult(None, memory, self._times.look_stopped_s if cheap else self._times.look_s)
        vm, memory = await self._refresh_price(vm, memory)
        found = await self._activity(vm, memory)
        memory = count_check(vm, memory, found, _now())
        if (seen := await self._check_use(vm, found, memory)) is not None:
            return CheckResult(seen, memory)
        cared_at = await self._keep_safe(vm, memory.cared_at)
        return CheckResult(None, replace(memory, cared_at=cared_at), self._times.look_s, gives_notices(vm))

    def _check_record(self, vm: Vm, memory: MonitorState) -> Incident | None:
        """Return what the record alone shows."""
        if memory.finishes and vm.status in {VmStatus.STOPPING, VmStatus.STARTING}:
            return _interrupted_incident(vm)
        return _check_clock(vm, self._times)

    async def _check_without_cloud(self, vm: Vm, memory: MonitorState) -> CheckResult | None:
        """Handle a machine that has ended, or is being rented or deleted.

        A running launch does the latter two itself.
        """
        if vm.status in ENDED:
            return CheckResult(Incident(IncidentKind.ENDED, "its record was closed"), memory)
        if vm.status not in {VmStatus.PROVISIONING, VmStatus.DELETING}:
            return None
        launch = await self._db.get(Launch, vm.launch_id)
        abandoned = memory.abandoned or launch is None or launch.status in LAUNCH_ENDED
        seen = _interrupted_incident(vm) if abandoned and memory.finishes else None
        return CheckResult(seen, memory, self._times.look_s)

    async def _check_cloud(self, vm: Vm, memory: MonitorState) -> Incident | None:
        """Return what the cloud's state of the machine requires."""
        machine = await self._machine(vm, memory)
        if machine is None or machine.state is MachineState.VANISHED:
            return Incident(IncidentKind.GONE, "the cloud no longer knows this machine")
        if vm.status is VmStatus.RUNNING and machine.state in OFF:
            billed = machine.state is not MachineState.STOPPED_RELEASED
            what = await self._why_off(vm, machine)
            return Incident(IncidentKind.STOPPED_OUTSIDE, what, billed, seen_at=off_since(vm, machine))
        if vm.status is VmStatus.STOPPED and vm.billed_in_full and machine.state is MachineState.STOPPED_RELEASED:
            return Incident(IncidentKind.STOPPED_OUTSIDE, "its cloud has given its hardware to others")
        if vm.status is VmStatus.STOPPED and machine.state is MachineState.RUNNING and await self._still_runs(vm):
            return Incident(IncidentKind.RUNS_OUTSIDE, "the machine was started at the cloud, not by us")
        return None

    async def _still_runs(self, vm: Vm) -> bool:
        """Return whether a machine runs that is recorded as stopped. The list may be from before it was stopped."""
        machine = await self._registry.get(vm.provider).machine(MachineId(vm.provider_id or ""))
        return machine is not None and machine.state is MachineState.RUNNING

    async def _why_off(self, vm: Vm, machine: Machine) -> str:
        """Return why the machine is off."""
        if machine.state is MachineState.BROKEN:
            return "its cloud reports that the machine is broken"
        alert = await self._health.balance_alert(vm)
        if alert is not None and alert.level is AlertLevel.CRITICAL:
            return "the machine was stopped at the cloud when the account's balance was used up"
        return "the machine was stopped at the cloud, not by us"

    async def _machine(self, vm: Vm, memory: MonitorState) -> Machine | None:
        """Return the machine from the shared list with states that may be minutes old.

        It is read by id if the list, which may lag, lacks it; and if the machine does not respond: at once, and then on
        every third check.
        """
        provider = self._registry.get(vm.provider)
        if memory.silent % 3 != 1:
            for machine in await provider.machines():
                if machine.id == vm.provider_id:
                    return machine
        return await provider.machine(MachineId(vm.provider_id or ""))

    async def _refresh_price(self, vm: Vm, memory: MonitorState) -> tuple[Vm, MonitorState]:
        """Read the provider's price regularly and apply it to the meter."""
        now = _now()
        if memory.priced_at is not None and now - memory.priced_at < timedelta(seconds=self._times.price_every_s):
            return vm, memory
        provider, machine_id = self._registry.get(vm.provider), MachineId(vm.provider_id or "")
        try:
            listed = next((one for one in await provider.machines() if one.id == machine_id), None)
            says = listed is not None and listed.usd_per_hour is not None
            machine = listed if says else await provider.machine(machine_id)
        except ProviderError as error:
            log.warning("failed to read machine price", extra={"vm": vm.id, "why": error.message})
            return vm, memory
        if machine is not None:
            vm = await self._prices.follow(vm, machine, now)
        return vm, replace(memory, priced_at=now)

    async def _activity(self, vm: Vm, memory: MonitorState) -> Activity | None:
        """Measure activity; None if the machine does not respond."""
        try:
            return await self._onboard.activity(address_of(vm), last_reading(memory))
        except ProviderError as error:
            log.warning("failed to measure machine activity", extra={"vm": vm.id, "why": error.message})
            return None

    async def _check_use(self, vm: Vm, found: Activity | None, memory: MonitorState) -> Incident | None:
        """Return what the player's use requires.

        A connected client keeps a machine alive; our own connections do not. Use that cannot be measured is not idle,
        but reported and limited in time.
        """
        now, fields = _now(), Document()
        if (seen := find_unmeasured(vm, memory, now)) is not None:
            return seen
        ends = [] if vm.stops_at is None else [(vm.stops_at, "the session limit is reached")]
        if (gives_way_at := _gives_way_at(vm)) is not None:
            ends.append((gives_way_at, _MAINTAINED))
        if found is not None and found.paired is not None:
            fields["paired"] = found.paired
        if found is not None and found.in_use is not None:
            idle_end = _in_use_until(vm) + _idle(vm)
            if found.in_use:
                fields["last_activity_at"] = now
            elif idle_end <= now:
                return Incident(IncidentKind.IDLE, f"no client was connected for {vm.idle_stop_minutes} minutes")
            else:
                ends.append((idle_end, "no client is connected"))
        if found is not None:
            fields["library_warning"] = _LIBRARY_LOST if found.library_lost else None
        fields |= {"stop_warning": self._warning(ends, now), "health_warning": await self._health.warning(vm, memory)}
        await self._write(vm, fields)
        return None

    def _warning(self, ends: Sequence[tuple[datetime, str]], now: datetime) -> str | None:
        """Return a warning about the earliest end, if it is near."""
        end, why = min(ends, default=(datetime.max.replace(tzinfo=UTC), ""))
        if (left := (end - now).total_seconds()) > self._times.warn_before_s:
            return None
        return f"The machine stops in {max(1, round(left / 60))} minutes: {why}"

    async def _keep_safe(self, vm: Vm, cared_at: datetime | None) -> datetime:
        """Regularly upload the saves and postpone the shutdown timer; more often while the account runs out."""
        if cared_at is not None and not await self._care_is_due(vm, cared_at):
            return cared_at
        try:
            await secure_saves(self._db, self._onboard, vm)
            await self._onboard.arm_shutdown_timer(address_of(vm), _dead_man_s(vm, self._times))
        except ProviderError as error:
            log.warning("regular save upload failed, retrying", extra={"vm": vm.id, "why": error.message})
        return _now()

    async def _care_is_due(self, vm: Vm, cared_at: datetime) -> bool:
        every_s = self._times.upload_every_s
        if (alert := await self._health.balance_alert(vm)) is not None:
            if cared_at < alert.raised_at:
                return True
            if alert.level is AlertLevel.CRITICAL:
                every_s = min(every_s, self._times.upload_urgent_s)
        return _now() - cared_at >= timedelta(seconds=every_s)

    async def _write(self, vm: Vm, fields: Document) -> None:
        if any(getattr(vm, name) != value for name, value in fields.items()):
            await self._db.update(Vm, {"_id": vm.id}, {"$set": fields})


def _interrupted_incident(vm: Vm) -> Incident:
    return Incident(IncidentKind.INTERRUPTED, f"continuing interrupted work of status {vm.status}")


def _check_clock(vm: Vm, times: WatchTimes) -> Incident | None:
    now = _now()
    if vm.status is VmStatus.RUNNING and vm.stops_at is not None and now >= vm.stops_at:
        return Incident(IncidentKind.LIMIT, f"the session limit of {vm.max_session_hours:g} hours is reached")
    if (gives_way_at := _gives_way_at(vm)) is not None and now >= gives_way_at:
        return Incident(IncidentKind.MAINTENANCE, _MAINTAINED, seen_at=now)
    kept_h = times.retention_billed_h if vm.billed_in_full else times.retention_h
    stopped = vm.status is VmStatus.STOPPED and vm.stopped_at is not None
    if stopped and now - (vm.stopped_at or now) >= timedelta(hours=kept_h):
        return Incident(IncidentKind.RETENTION, f"it was stopped for {kept_h:g} hours")
    return None


def _gives_way_at(vm: Vm) -> datetime | None:
    """Return when a machine that its cloud will stop for maintenance is stopped by us, with time for its saves."""
    if vm.status is not VmStatus.RUNNING or vm.announced_stop_at is None:
        return None
    return vm.announced_stop_at - _BEFORE_MAINTENANCE


def _in_use_until(vm: Vm) -> datetime:
    """Return since when the machine is idle unless a client connects. A planned one waits for its player."""
    used = vm.last_activity_at or vm.started_at or vm.created_at
    return used if vm.planned_for is None else max(used, vm.planned_for)


def _idle(vm: Vm) -> timedelta:
    return timedelta(minutes=vm.idle_stop_minutes)


def _dead_man_s(vm: Vm, times: WatchTimes) -> float:
    until = vm.stops_at or _now() + timedelta(hours=vm.max_session_hours)
    return max(60.0, (until - _now()).total_seconds() + times.dead_man_margin_s)


def _now() -> datetime:
    return datetime.now(UTC)
