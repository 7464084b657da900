"""One look at a machine: what it finds, what it remembers, and when the next one is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from errors import MachineLostError, ProviderBusyError
from fleet.health import Health
from fleet.inputs import CheckInput, StatusChange
from fleet.messages import CheckResult, Incident, IncidentKind, MonitorState
from fleet.monitoring import MonitoringActivities, WatchTimes
from fleet.power import PowerActivities
from models.database import Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlert, OperatorAlertCode
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, Tag
from providers.registry import Registry
from streaming.machine import Reading
from tests.fakes.cloud import FakeCloud
from tests.fakes.streaming import FakeStreaming
from tests.gateway import a_vm

TIMES = WatchTimes(look_s=20, look_stopped_s=300, upload_every_s=300)


class Watched:
    """A recorded machine that its cloud knows."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.cloud = FakeCloud()
        self.streaming = FakeStreaming()
        self._watch = MonitoringActivities(db, Registry([self.cloud]), self.streaming, TIMES)

    async def begin(self, status: VmStatus = VmStatus.RUNNING) -> Vm:
        now = datetime.now(UTC)
        vm = a_vm(
            "200000000000000001", status=status, created_at=now, last_activity_at=now, stops_at=now + timedelta(hours=8)
        )
        await self.db.insert(vm)
        state = MachineState.RUNNING if status is VmStatus.RUNNING else MachineState.STOPPED_RELEASED
        machine_id = MachineId(vm.provider_id or "")
        self.cloud.rented[machine_id] = Machine(machine_id, Tag(vm.tag), state, ip_address="127.0.0.1")
        return vm

    async def again(self, vm: Vm) -> Vm:
        found = await self.db.get(Vm, vm.id)
        assert found is not None
        return found

    async def open_alerts(self) -> list[OperatorAlert]:
        return await OperatorAlerts(self.db).find_newest(with_cleared=False, limit=10)

    async def look(self, vm: Vm, memory: MonitorState | None = None) -> CheckResult:
        looked: CheckResult = await ActivityEnvironment().run(
            self._watch.check_machine, CheckInput(vm.id, memory or MonitorState())
        )
        return looked


@pytest.fixture
async def watched(db: Database) -> Watched:
    return Watched(db)


async def test_a_look_ends_and_says_when_the_next_is_due(watched: Watched) -> None:
    vm = await watched.begin()

    looked = await watched.look(vm)

    assert (looked.seen, looked.again_s) == (None, 20)


async def test_a_stopped_machine_is_looked_at_rarely_and_not_spoken_to(watched: Watched) -> None:
    vm = await watched.begin(VmStatus.STOPPED)

    looked = await watched.look(vm)

    assert (looked.seen, looked.again_s) == (None, 300)
    assert sum(watched.streaming.calls.values()) == 0


async def test_a_list_from_before_a_stop_does_not_show_that_a_machine_runs_again(watched: Watched) -> None:
    vm = await watched.begin(VmStatus.STOPPED)
    watched.cloud.listed_as = MachineState.RUNNING

    looked = await watched.look(vm)
    watched.cloud.become_all(MachineState.RUNNING)
    again = await watched.look(vm)

    assert looked.seen is None
    assert again.seen is not None
    assert again.seen.finding is IncidentKind.RUNS_OUTSIDE


async def test_saves_and_timer_are_looked_after_now_and_then_and_not_at_every_look(watched: Watched) -> None:
    vm = await watched.begin()

    first = await watched.look(vm)
    second = await watched.look(vm, first.memory)
    long_ago = datetime.now(UTC) - timedelta(seconds=301)
    third = await watched.look(vm, MonitorState(cared_at=long_ago))

    assert watched.streaming.calls["arm_shutdown_timer"] == 2
    assert second.memory.cared_at == first.memory.cared_at
    assert third.memory.cared_at is not None
    assert third.memory.cared_at > long_ago


async def test_a_game_that_lost_sight_of_the_library_tells_its_player_until_it_sees_it_again(watched: Watched) -> None:
    vm = await watched.begin()

    watched.streaming.library_lost = True
    looked = await watched.look(vm)
    told = (await watched.again(vm)).warnings
    watched.streaming.library_lost = False
    await watched.look(await watched.again(vm), looked.memory)

    assert told == (
        "The game lost access to the game library. It is available again: quit the game in Moonlight and start it"
    )
    assert (await watched.again(vm)).warnings is None


async def test_a_machine_that_vanished_was_there_at_the_look_before(watched: Watched) -> None:
    vm = await watched.begin()
    before = await watched.look(vm)
    watched.cloud.rented.clear()

    looked = await watched.look(vm, before.memory)

    assert looked.seen is not None
    assert looked.seen.finding is IncidentKind.GONE
    assert before.memory.there_at is not None
    assert looked.seen.there_at == before.memory.there_at


async def test_a_cloud_that_does_not_answer_leaves_the_memory_as_it_was(watched: Watched) -> None:
    vm = await watched.begin()
    before = await watched.look(vm)
    watched.cloud.failures["machines"] = [ProviderBusyError("it is late")]

    looked = await watched.look(vm, before.memory)

    assert looked.seen is None
    assert looked.memory.there_at == before.memory.there_at


async def test_a_machine_without_a_record_is_lost(watched: Watched) -> None:
    vm = await watched.begin()
    await watched.db.delete(Vm, {"_id": vm.id})

    with pytest.raises(MachineLostError):
        await watched.look(vm)


async def test_each_look_is_given_the_reading_of_the_one_before(watched: Watched) -> None:
    vm = await watched.begin()

    first = await watched.look(vm)
    await watched.look(vm, first.memory)

    assert watched.streaming.readings == [None, Reading("counter-1", 1)]


async def test_use_that_cannot_be_measured_is_shown_and_is_not_idle(watched: Watched) -> None:
    vm = await watched.begin()
    await watched.db.update(Vm, {"_id": vm.id}, {"$set": {"last_activity_at": _ago(hours=2)}})
    watched.streaming.in_use = None

    memory = MonitorState()
    seen: list[Incident | None] = []
    for _ in range(3):
        looked = await watched.look(vm, memory)
        memory, seen = looked.memory, [*seen, looked.seen]

    shown = await watched.again(vm)
    assert seen == [None, None, None]
    assert shown.warnings is not None
    assert shown.warnings.startswith("Whether this machine is in use cannot be measured since ")
    assert [alert.code for alert in await watched.open_alerts()] == [OperatorAlertCode.ACTIVITY_UNKNOWN]


async def test_a_machine_that_does_not_answer_is_shown_from_the_third_look_on(watched: Watched) -> None:
    vm = await watched.begin()
    watched.streaming.always["activity"] = ProviderBusyError("SSH: no response in time")

    memory, warnings = MonitorState(), []
    for _ in range(3):
        memory = (await watched.look(vm, memory)).memory
        warnings.append((await watched.again(vm)).health_warning)

    assert warnings[:2] == [None, None]
    assert warnings[2] is not None
    assert warnings[2].startswith("The machine does not respond since ")
    (alert,) = await watched.open_alerts()
    assert (alert.code, alert.subject_id) == (OperatorAlertCode.MACHINE_UNREACHABLE, vm.id)


async def test_warning_and_alert_end_when_the_machine_answers_again(watched: Watched) -> None:
    vm = await watched.begin()
    watched.streaming.always["activity"] = ProviderBusyError("SSH: no response in time")
    memory = MonitorState()
    for _ in range(3):
        memory = (await watched.look(vm, memory)).memory
    del watched.streaming.always["activity"]

    looked = await watched.look(vm, memory)

    assert (looked.memory.silent, looked.memory.unmeasured, looked.memory.unmeasured_since) == (0, 0, None)
    assert (await watched.again(vm)).warnings is None
    assert await watched.open_alerts() == []


@pytest.mark.parametrize(("minutes", "stopped"), [(44, False), (46, True)])
async def test_silence_is_bounded_by_the_idle_limit_and_a_quarter_of_an_hour(
    watched: Watched, minutes: int, stopped: bool
) -> None:
    vm = await watched.begin()
    watched.streaming.always["activity"] = ProviderBusyError("SSH: no response in time")
    memory = MonitorState(silent=9, unmeasured=9, unmeasured_since=_ago(minutes=minutes))

    looked = await watched.look(vm, memory)

    assert (looked.seen is not None) is stopped
    if looked.seen is not None:
        assert (looked.seen.finding, looked.seen.detail) == (
            IncidentKind.IDLE,
            "the machine did not answer for 45 minutes",
        )


async def test_a_stop_for_silence_tells_the_player_why(watched: Watched) -> None:
    vm = await watched.begin()
    power = PowerActivities(watched.db, Registry([watched.cloud]), watched.streaming, Meter(watched.db))
    why = "the machine did not answer for 45 minutes"
    for status in (VmStatus.STOPPING, VmStatus.STOPPED):
        change = StatusChange(vm.id, status, why, found=str(IncidentKind.IDLE))
        await ActivityEnvironment().run(power.write_status, change)

    warning = (await watched.again(vm)).warning

    assert warning is not None
    assert warning.endswith(f" UTC: {why}. Its disk is kept")


async def test_silence_before_a_start_does_not_count_after_it(watched: Watched) -> None:
    vm = await watched.begin()
    await watched.db.update(Vm, {"_id": vm.id}, {"$set": {"start_asked_at": _ago(minutes=5)}})
    watched.streaming.always["activity"] = ProviderBusyError("SSH: no response in time")

    looked = await watched.look(vm, MonitorState(silent=9, unmeasured=9, unmeasured_since=_ago(hours=3)))

    assert (looked.seen, looked.memory.unmeasured) == (None, 1)


async def test_a_balance_that_ends_is_shown_and_saves_are_uploaded_at_once_and_then_every_minute(
    watched: Watched,
) -> None:
    vm = await watched.begin()
    alerts = OperatorAlerts(watched.db)
    before = await watched.look(vm)
    await alerts.raise_alert(AlertLevel.WARNING, OperatorAlertCode.BALANCE_LOW, vm.provider, "40 minutes")
    warned = await watched.look(vm, before.memory)
    quiet = await watched.look(vm, warned.memory)
    await alerts.raise_alert(AlertLevel.CRITICAL, OperatorAlertCode.BALANCE_LOW, vm.provider, "10 minutes")
    critical = await watched.look(vm, quiet.memory)
    a_minute_ago = replace(critical.memory, cared_at=_ago(seconds=61))
    (alert,) = await watched.open_alerts()
    await watched.db.update(OperatorAlert, {"_id": alert.id}, {"$set": {"raised_at": _ago(minutes=9)}})

    await watched.look(vm, a_minute_ago)

    assert watched.streaming.calls["arm_shutdown_timer"] == 4  # each time that saves are looked after
    shown = (await watched.again(vm)).health_warning
    assert shown is not None
    assert shown.startswith("The account at its provider runs out within 15 minutes")


async def test_alerts_about_machines_that_run_no_longer_are_cleared(watched: Watched) -> None:
    vm = await watched.begin(VmStatus.STOPPED)
    alerts = OperatorAlerts(watched.db)
    for code in (OperatorAlertCode.MACHINE_UNREACHABLE, OperatorAlertCode.MACHINE_STOPPED_BY_HOST):
        await alerts.raise_alert(AlertLevel.WARNING, code, vm.id, "it is so")

    await Health(watched.db).clear_settled()

    assert [alert.code for alert in await watched.open_alerts()] == [OperatorAlertCode.MACHINE_STOPPED_BY_HOST]


def _ago(**parts: float) -> datetime:
    return datetime.now(UTC) - timedelta(**parts)


async def test_a_machine_that_its_host_stopped_when_the_balance_ended_says_so(watched: Watched) -> None:
    vm = await watched.begin()
    await OperatorAlerts(watched.db).raise_alert(
        AlertLevel.CRITICAL, OperatorAlertCode.BALANCE_LOW, vm.provider, "it ends"
    )
    machine_id = MachineId(vm.provider_id or "")
    watched.cloud.rented[machine_id] = replace(watched.cloud.rented[machine_id], state=MachineState.STOPPED)

    looked = await watched.look(vm)

    assert looked.seen is not None
    assert (looked.seen.finding, looked.seen.detail) == (
        IncidentKind.STOPPED_OUTSIDE,
        "the machine was stopped at the cloud when the account's balance was used up",
    )
