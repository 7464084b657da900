"""Problems of a running machine: it does not respond, its use cannot be measured, its account runs out.

They are shown to the player as a warning and to operators as an alert. A machine that cannot be checked is not idle,
but must not run forever either: `stop_deadline` returns when it is stopped.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from billing.operator_alerts import OperatorAlerts
from errors import UnreadableRecordError
from fleet.messages import Incident, IncidentKind, MonitorState
from models.database import Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlert, OperatorAlertCode
from models.vms import Vm, VmStatus
from streaming.machine import Activity, Reading

_SLACK: Final = timedelta(minutes=15)
_LOOKS: Final = 3  # consecutive failed checks before they count as more than a transient problem
_SILENT: Final = "the machine did not answer"
_UNMEASURED: Final = "whether the machine is played on could not be measured"
_JUST_RAISED: Final = timedelta(minutes=2)  # the alert is written before the warning
_CODES: Final = (OperatorAlertCode.MACHINE_UNREACHABLE, OperatorAlertCode.ACTIVITY_UNKNOWN)
_STOPPED_CODES: Final = (OperatorAlertCode.MACHINE_STOPPED_BY_HOST,)


def count_check(vm: Vm, memory: MonitorState, found: Activity | None, now: datetime) -> MonitorState:
    """Count this check. `found` is None if the machine did not respond."""
    since = memory.unmeasured_since
    if since is not None and vm.start_asked_at is not None and vm.start_asked_at > since:
        memory = replace(memory, unmeasured=0, unmeasured_since=None)  # from the time before it was started again
    if found is not None and found.reading is not None:
        memory = replace(memory, counter=found.reading.counter, packets=found.reading.packets)
    memory = replace(memory, silent=0 if found is not None else memory.silent + 1)
    if found is not None and found.in_use is not None:
        return replace(memory, unmeasured=0, unmeasured_since=None)
    return replace(memory, unmeasured=memory.unmeasured + 1, unmeasured_since=memory.unmeasured_since or now)


def last_reading(memory: MonitorState) -> Reading | None:
    """Return the last reading of the packet counter, if there is one."""
    return None if memory.counter is None else Reading(memory.counter, memory.packets)


def stop_deadline(vm: Vm, memory: MonitorState) -> datetime | None:
    """Return when the machine is stopped unless a check succeeds; None while there is no reason for it."""
    if memory.unmeasured_since is None or memory.unmeasured < _LOOKS:
        return None
    return memory.unmeasured_since + timedelta(minutes=vm.idle_stop_minutes) + _SLACK


def find_unmeasured(vm: Vm, memory: MonitorState, now: datetime) -> Incident | None:
    """Return the incident of a machine that could not be checked for too long."""
    end = stop_deadline(vm, memory)
    if end is None or now < end:
        return None
    minutes = vm.idle_stop_minutes + _SLACK // timedelta(minutes=1)
    return Incident(IncidentKind.IDLE, f"{_SILENT if memory.silent else _UNMEASURED} for {minutes} minutes")


def stop_warning(reason: str, at: datetime) -> str | None:
    """Return the player's warning about a stop of a machine that could not be checked; None for other reasons."""
    if not reason.startswith((_SILENT, _UNMEASURED)):
        return None
    return f"The machine was stopped at {at:%H:%M} UTC: {reason}. Its disk is kept"


class Health:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._alerts = OperatorAlerts(db)

    async def warning(self, vm: Vm, memory: MonitorState) -> str | None:
        """Return what the player should know, and raise or clear the related alerts."""
        told = [text for text in (await self._check_measured(vm, memory), await self._balance(vm)) if text is not None]
        return ". ".join(told) or None

    async def balance_alert(self, vm: Vm) -> OperatorAlert | None:
        return await self._alerts.find_open(OperatorAlertCode.BALANCE_LOW, vm.provider)

    async def clear_settled(self) -> None:
        """Clear alerts about machines that are no longer in the alert's state."""
        now = datetime.now(UTC)
        for code in (*_CODES, *_STOPPED_CODES):
            alerts = await self._alerts.find_open_of(code)
            vms = await self._db.read_many(Vm, [alert.subject_id for alert in alerts])
            for alert in alerts:
                vm = vms.get(alert.subject_id)
                if isinstance(vm, UnreadableRecordError):
                    continue  # unknown whether it is settled
                if vm is None or not _may_last(alert, vm, now):
                    await self._alerts.clear(code, alert.subject_id)

    async def _check_measured(self, vm: Vm, memory: MonitorState) -> str | None:
        end, since = stop_deadline(vm, memory), memory.unmeasured_since
        if end is None or since is None:
            await self._clear(vm)
            return None
        unreachable = memory.silent > 0
        what = "The machine does not respond" if unreachable else "Whether this machine is in use cannot be measured"
        code = _CODES[0] if unreachable else _CODES[1]
        await self._alerts.raise_alert(AlertLevel.WARNING, code, vm.id, f"{what} (VM {vm.id}, {vm.provider})")
        for other in set(_CODES) - {code}:
            await self._alerts.clear(other, vm.id)
        return f"{what} since {since:%H:%M} UTC; unless that changes it is stopped at {end:%H:%M} UTC, its disk is kept"

    async def _clear(self, vm: Vm) -> None:
        if vm.health_warning is not None:
            for code in _CODES:
                await self._alerts.clear(code, vm.id)

    async def _balance(self, vm: Vm) -> str | None:
        alert = await self.balance_alert(vm)
        if alert is None:
            return None
        when = "15 minutes" if alert.level is AlertLevel.CRITICAL else "an hour"
        return f"The account at its provider runs out within {when}: the machine may stop then. Saves are uploaded"


def _may_last(alert: OperatorAlert, vm: Vm, now: datetime) -> bool:
    if alert.code in _STOPPED_CODES:
        return vm.status in {VmStatus.STOPPED, VmStatus.STARTING, VmStatus.STOPPING}
    shown = vm.health_warning is not None or now - alert.raised_at < _JUST_RAISED
    return vm.status is VmStatus.RUNNING and shown
