"""What the sweeper leaves to an operator: too much at once, what a lost database would make look like orphans, saves,
and the machines of other installations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from billing.meter import Meter
from errors import ProviderBusyError, UnavailableError
from fleet.inputs import VmRef
from fleet.release import ReleaseActivities
from fleet.sweep_plan import Action, Verdict
from fleet.sweeper import Sweeper
from models.database import Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlert, OperatorAlertCode
from models.orphans import OrphanMachine, Sweep
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, ProviderName, Tag
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud
from tests.fault_proxy import WRITES, Fault, FaultProxy
from tests.fault_walk import ERRORS
from tests.fleet.test_sweeper import a_vm, at_cloud

FIRST = 200000000000000001


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
async def sweeper(db: Database, cloud: FakeCloud) -> Sweeper:
    """It has swept before, so that what turns up now is not older than its records."""
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)
    await sweeper.sweep()
    return sweeper


def orphans(cloud: FakeCloud, count: int) -> None:
    for number in range(count):
        at_cloud(cloud, f"orphan-{number}", f"gamer-main-{FIRST + number}")


async def wanted(db: Database, cloud: FakeCloud, count: int) -> None:
    for number in range(count):
        vm = a_vm(str(FIRST + 1000 + number), VmStatus.STOPPED, f"wanted-{number}")
        await db.insert(vm)
        at_cloud(cloud, f"wanted-{number}", vm.tag)


def verdicts(actions: Sequence[Action]) -> list[tuple[Verdict, bool]]:
    return [(action.verdict, action.done) for action in actions]


async def open_alerts(db: Database) -> list[tuple[AlertLevel, OperatorAlertCode, str]]:
    alerts = await db.find(OperatorAlert, {"cleared_at": None}, sort=[("code", 1)])
    return [(alert.level, alert.code, alert.subject_id) for alert in alerts]


@pytest.mark.parametrize(("kept", "too_many", "few_enough"), [(0, 4, 3), (36, 5, 4)])
async def test_more_than_three_or_a_tenth_at_once_wait_for_an_operator(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, kept: int, too_many: int, few_enough: int
) -> None:
    await wanted(db, cloud, kept)
    orphans(cloud, too_many)

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)] * too_many
    assert cloud.calls["release"] == 0
    assert await open_alerts(db) == [(AlertLevel.CRITICAL, OperatorAlertCode.SWEEP_PAUSED, "sweeper")]

    cloud.rented.clear()
    await sweeper.sweep()
    assert await open_alerts(db) == []


@pytest.mark.parametrize(("kept", "count"), [(0, 3), (36, 4)])
async def test_fewer_are_deleted_at_once(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, kept: int, count: int
) -> None:
    await wanted(db, cloud, kept)
    orphans(cloud, count)

    assert verdicts(await sweeper.sweep()) == [(Verdict.DELETE, True)] * count
    assert len(cloud.rented) == kept


async def test_what_the_brake_has_caught_waits_also_when_few_are_left(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    orphans(cloud, 4)
    await sweeper.sweep()
    del cloud.rented[MachineId("orphan-0")]

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)] * 3
    assert verdicts(await sweeper.sweep(confirm=True)) == [(Verdict.DELETE, True)] * 3
    assert cloud.rented == {}


async def test_an_empty_database_deletes_nothing_of_what_is_there(db: Database, cloud: FakeCloud) -> None:
    orphans(cloud, 1)
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)

    first, second = await sweeper.sweep(), await sweeper.sweep()

    assert verdicts(first + second) == [(Verdict.HOLD, False)] * 2
    assert first[0].reason == "no record of it, and it is older than this database's knowledge"
    assert len(cloud.rented) == 1


async def test_a_database_as_it_was_last_night_deletes_nothing_that_came_since(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    last_night = datetime.now(UTC) - timedelta(hours=9)
    await db.update(Sweep, {"_id": ProviderName.TENSORDOCK}, {"$set": {"at": last_night}})
    orphans(cloud, 2)

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)] * 2
    assert len(cloud.rented) == 2


async def test_a_machine_that_the_first_list_after_a_gap_lacks_is_older_than_the_gap_too(
    db: Database, cloud: FakeCloud
) -> None:
    orphans(cloud, 2)
    cloud.unlisted.add(MachineId("orphan-1"))
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0.2)
    await sweeper.sweep()
    cloud.unlisted.clear()
    await sweeper.sweep()
    await db.update_many(OrphanMachine, {}, {"$set": {"first_seen": datetime.now(UTC) - timedelta(minutes=1)}})

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)] * 2
    assert len(cloud.rented) == 2


async def test_what_turns_up_long_after_a_gap_is_not(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=6)
    await db.update_many(Sweep, {}, {"$set": {"since": long_ago, "at": datetime.now(UTC)}})
    orphans(cloud, 1)
    patient = Sweeper(db, Registry([cloud]), Meter(db), spare_s=300)
    await patient.sweep()
    await db.update_many(OrphanMachine, {}, {"$set": {"first_seen": long_ago}})

    assert verdicts(await patient.sweep()) == [(Verdict.DELETE, True)]


async def test_machines_that_join_those_that_wait_raise_the_alert_again(
    db: Database, cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    orphans(cloud, 1)
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)
    for _ in range(2):
        await sweeper.sweep()
    orphans(cloud, 8)
    for _ in range(2):
        await sweeper.sweep()
    del cloud.rented[MachineId("orphan-0")]
    await sweeper.sweep()

    alerts = await db.find(OperatorAlert, {"code": OperatorAlertCode.SWEEP_PAUSED}, sort=[("raised_at", 1)])
    assert [(each.message.split()[0], each.cleared_at is None) for each in alerts] == [("1", False), ("8", True)]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.__dict__["machines"] for record in errors] == [1, 8]


async def test_usage_that_cannot_be_read_holds_up_no_other_machine_and_no_alert(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    strange = a_vm(str(FIRST), VmStatus.LOST, "orphan-0")
    unsaved = a_vm(str(FIRST + 1), VmStatus.LOST, "orphan-1")
    unsaved.saves_pending = True
    await db.insert_many([strange, unsaved])
    await Meter(db).record_state(strange, UsageState.RUNNING, datetime.now(UTC))
    await db.update_many(UsageInterval, {"vm_id": strange.id}, {"$set": {"state": "OF_A_LATER_VERSION"}})
    orphans(cloud, 3)

    first = await sweeper.sweep()
    second = await sweeper.sweep()

    assert verdicts(first) == [(Verdict.DELETE, False), (Verdict.HOLD, False), (Verdict.DELETE, True)]
    assert verdicts(second) == [(Verdict.HOLD, False), (Verdict.LOSE, False)]
    assert list(cloud.rented) == ["orphan-1"]
    assert await open_alerts(db) == [(AlertLevel.CRITICAL, OperatorAlertCode.SWEEP_PAUSED, "sweeper")]


async def test_a_list_that_lacks_a_machine_once_does_not_release_it(db: Database, cloud: FakeCloud) -> None:
    orphans(cloud, 2)
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)
    await sweeper.sweep()

    cloud.unlisted.add(MachineId("orphan-0"))
    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)]
    cloud.failures["machine"] = [ProviderBusyError("500")]
    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)]
    cloud.unlisted.clear()

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)] * 2
    assert len(cloud.rented) == 2


async def test_a_machine_that_its_cloud_says_is_gone_is_forgotten(db: Database, cloud: FakeCloud) -> None:
    orphans(cloud, 2)
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)
    await sweeper.sweep()

    del cloud.rented[MachineId("orphan-0")]
    await sweeper.sweep()

    assert [stray.machine_id for stray in await db.find(OrphanMachine, {})] == ["orphan-1"]


async def test_a_machine_that_has_a_record_again_is_forgotten(db: Database, cloud: FakeCloud) -> None:
    orphans(cloud, 1)
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)
    await sweeper.sweep()

    await db.insert(a_vm(str(FIRST), VmStatus.RUNNING, "orphan-0"))
    await sweeper.sweep()

    assert await db.count(OrphanMachine, {}) == 0


@pytest.mark.parametrize("collection", ["strays", "sweeps"])
async def test_a_sweep_that_the_database_interrupts_ends_no_gap(
    db: Database, faulty_db: Database, faults: FaultProxy, cloud: FakeCloud, collection: str
) -> None:
    orphans(cloud, 2)
    interrupted, sweeper = (Sweeper(each, Registry([cloud]), Meter(each), spare_s=0) for each in (faulty_db, db))
    with faults.fault(Fault(WRITES, [collection], error=ERRORS[0])), pytest.raises(UnavailableError):
        await interrupted.sweep()

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)] * 2
    assert len(cloud.rented) == 2


async def test_a_dry_run_ends_no_gap(db: Database, cloud: FakeCloud) -> None:
    orphans(cloud, 1)
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)

    await sweeper.sweep(dry_run=True)

    assert verdicts(await sweeper.sweep()) == [(Verdict.HOLD, False)]
    assert await db.count(Sweep, {}) == 1


async def test_a_deletion_that_was_asked_for_before_is_no_decision_of_the_sweep(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    for number in range(6):
        vm = a_vm(str(FIRST + number), VmStatus.LOST, f"m{number}")
        vm.going_since = datetime.now(UTC)
        await db.insert(vm)
        at_cloud(cloud, f"m{number}", vm.tag)

    assert verdicts(await sweeper.sweep()) == [(Verdict.DELETE, True)] * 6


@pytest.mark.parametrize("status", [VmStatus.LOST, VmStatus.DELETED])
@pytest.mark.parametrize("state", [MachineState.VANISHED, MachineState.RUNNING])
async def test_a_disk_with_the_only_copy_of_saves_waits_for_an_operator(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, status: VmStatus, state: MachineState
) -> None:
    vm = a_vm(str(FIRST), status, "m1")
    vm.saves_pending = True
    await db.insert(vm)
    at_cloud(cloud, "m1", vm.tag)
    cloud.become_all(state)

    actions = await sweeper.sweep()

    assert [(each.verdict, each.reason) for each in actions] == [
        (Verdict.HOLD, "its latest saves exist on its disk alone")
    ]
    assert len(cloud.rented) == 1


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("status", [VmStatus.PROVISIONING, VmStatus.DELETING])
async def test_a_deletion_that_an_outage_of_the_cloud_left_undone_is_done_after_it(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, status: VmStatus, count: int
) -> None:
    machines = ReleaseActivities(db, Registry([cloud]), Meter(db), settle_s=60)
    for number in range(count):
        vm = a_vm(str(FIRST + number), status, f"m{number}")
        vm.saves_pending = True
        await db.insert(vm)
        await Meter(db).record_state(vm, UsageState.RUNNING, vm.created_at)
        at_cloud(cloud, f"m{number}", vm.tag)
        cloud.failures["machines"] = [ProviderBusyError("no answer")]
        with pytest.raises(ProviderBusyError):
            await machines.release(VmRef(vm.id))
        await machines.give_up(VmRef(vm.id))

    assert verdicts(await sweeper.sweep()) == [(Verdict.DELETE, True)] * count
    assert cloud.rented == {}
    assert await db.count(UsageInterval, {"end": None}) == 0
    assert await db.count(Vm, {"status": VmStatus.DELETED}) == count


async def test_a_deletion_whose_loss_was_accepted_is_repeated(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    vm = a_vm(str(FIRST), VmStatus.LOST, "m1")
    vm.saves_pending, vm.going_since = True, datetime.now(UTC)
    await db.insert(vm)
    at_cloud(cloud, "m1", vm.tag)

    assert verdicts(await sweeper.sweep()) == [(Verdict.DELETE, True)]


@pytest.mark.parametrize("tag", [f"gamer-staging-{FIRST}", f"gamer-{FIRST}", f"gamer-main-2-{FIRST}"])
async def test_machines_of_other_installations_are_reported_and_never_touched(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, tag: str
) -> None:
    at_cloud(cloud, "m1", tag)

    assert verdicts(await sweeper.sweep()) == [(Verdict.FOREIGN, False)]
    assert verdicts(await sweeper.sweep(confirm=True)) == [(Verdict.FOREIGN, False)]
    assert (len(cloud.rented), cloud.calls["release"]) == (1, 0)
    assert await open_alerts(db) == [(AlertLevel.WARNING, OperatorAlertCode.FOREIGN_MACHINES, ProviderName.TENSORDOCK)]

    cloud.rented.clear()
    await sweeper.sweep()
    assert await open_alerts(db) == []


async def test_a_name_of_former_versions_is_ours_with_a_record(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    vm = a_vm(str(FIRST), VmStatus.LOST, "m1")
    vm.tag = f"gamer-{FIRST}"
    await db.insert(vm)
    at_cloud(cloud, "m1", vm.tag)

    assert verdicts(await sweeper.sweep()) == [(Verdict.DELETE, True)]
    settled = await db.get(Vm, vm.id)
    assert settled is not None
    assert settled.status is VmStatus.DELETED


class Labelled:
    """What carries our label at a cloud whose tool knows nothing of it."""

    name = ProviderName.CLOUDYPAD

    async def unmanaged(self) -> Sequence[Machine]:
        tags = [f"gamer-main-{FIRST}", f"gamer-staging-{FIRST}"]
        return [Machine(MachineId(tag), Tag(tag), MachineState.RUNNING) for tag in tags]


async def test_machines_whose_state_was_lost_are_reported(db: Database, cloud: FakeCloud) -> None:
    sweeper = Sweeper(db, Registry([cloud]), Meter(db), inventories=[Labelled()])

    actions = await sweeper.sweep(confirm=True)

    assert [(each.verdict, each.tag, each.done) for each in actions] == [
        (Verdict.HOLD, f"gamer-main-{FIRST}", False),
        (Verdict.FOREIGN, f"gamer-staging-{FIRST}", False),
    ]
    assert (AlertLevel.CRITICAL, OperatorAlertCode.SWEEP_PAUSED, "sweeper") in await open_alerts(db)
