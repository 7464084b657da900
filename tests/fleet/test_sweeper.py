"""The sweeper settles every difference between clouds and records, in both directions, and touches nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.meter import Meter
from errors import ProviderBusyError
from fleet.sweep_plan import Verdict
from fleet.sweeper import Sweeper
from models.audit import AuditEntry, Outcome
from models.catalog import ConsoleType, PresetName
from models.database import Database
from models.launches import Launch, LaunchStatus, LaunchStepName, Step
from models.orphans import OrphanMachine
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, ProviderName, Tag
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud

NOW = datetime.now(UTC)


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
async def sweeper(db: Database, cloud: FakeCloud) -> Sweeper:
    return Sweeper(db, Registry([cloud]), Meter(db), spare_s=0)


def at_cloud(cloud: FakeCloud, machine_id: str, tag: str) -> None:
    machine = Machine(MachineId(machine_id), Tag(tag), MachineState.RUNNING, ip_address="127.0.0.1")
    cloud.rented[machine.id] = machine


def a_vm(vm_id: str, status: VmStatus, provider_id: str | None) -> Vm:
    return Vm(
        id=vm_id,
        tag=f"gamer-main-{vm_id}",
        provider=ProviderName.TENSORDOCK,
        provider_id=provider_id,
        status=status,
        user_id="player-1",
        launch_id="100000000000000001",
        console=ConsoleType.SWITCH,
        preset=PresetName.PREMIUM,
        vcpus=8,
        ram_gb=16,
        storage_gb=200,
        usd_per_hour=Decimal("0.5"),
        usd_per_hour_stopped=Decimal("0.01"),
        idle_stop_minutes=30,
        max_session_hours=8,
        ordered_at=NOW - timedelta(hours=1),
        created_at=NOW - timedelta(hours=1),
    )


def a_launch(status: LaunchStatus) -> Launch:
    return Launch(
        id="100000000000000001",
        caller_id="player-1",
        idempotency_key="k",
        user_id="player-1",
        console=ConsoleType.SWITCH,
        idle_stop_minutes=30,
        max_session_hours=8,
        status=status,
        steps=[Step(name=name) for name in LaunchStepName],
        requested_at=NOW,
    )


VM = "200000000000000001"


async def test_a_machine_without_a_record_is_deleted(sweeper: Sweeper, cloud: FakeCloud) -> None:
    await sweeper.sweep()
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    actions = await sweeper.sweep()

    assert [(each.verdict, each.machine_id, each.done) for each in actions] == [(Verdict.DELETE, "m1", True)]
    assert cloud.rented == {}


async def test_a_young_machine_without_a_record_is_spared(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    patient = Sweeper(db, Registry([cloud]), Meter(db), spare_s=600)
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    first, second = await patient.sweep(), await patient.sweep()

    assert [each.verdict for each in first + second] == [Verdict.SPARE, Verdict.SPARE]
    assert len(cloud.rented) == 1


@pytest.mark.parametrize("name", ["my-own-server", "gamer-", "gamer-main-12", "Gamer-" + VM])
async def test_other_peoples_machines_are_never_touched(sweeper: Sweeper, cloud: FakeCloud, name: str) -> None:
    at_cloud(cloud, "m1", name)

    assert await sweeper.sweep() == []
    assert len(cloud.rented) == 1
    assert cloud.calls["release"] == 0


async def test_a_dry_run_changes_nothing(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    await sweeper.sweep()
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    await db.insert(a_vm("200000000000000002", VmStatus.RUNNING, "m2"))

    actions = await sweeper.sweep(dry_run=True)

    assert [(each.verdict, each.done) for each in actions] == [(Verdict.DELETE, False), (Verdict.LOSE, False)]
    assert len(cloud.rented) == 1
    assert await db.count(OrphanMachine, {}) == 0
    vm = await db.get(Vm, "200000000000000002")
    assert vm is not None
    assert vm.status is VmStatus.RUNNING


async def test_a_record_that_the_cloud_does_not_know_stops_costing(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    vm = a_vm(VM, VmStatus.RUNNING, "m1")
    await db.insert(vm)
    await Meter(db).record_state(vm, UsageState.RUNNING, NOW - timedelta(hours=1))

    await sweeper.sweep()

    settled = await db.get(Vm, VM)
    assert settled is not None
    assert settled.status is VmStatus.DELETED
    assert [each.end is None for each in await db.find(UsageInterval, {"vm_id": VM})] == [False]


async def test_a_record_that_only_the_list_lacks_is_left_alone(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    await db.insert(a_vm(VM, VmStatus.RUNNING, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    cloud.unlisted.add(MachineId("m1"))

    assert await sweeper.sweep() == []


async def test_a_lost_machine_is_deleted_when_it_turns_up(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    await db.insert(a_vm(VM, VmStatus.LOST, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    await sweeper.sweep()

    settled = await db.get(Vm, VM)
    assert settled is not None
    assert (settled.status, cloud.rented) == (VmStatus.DELETED, {})


async def test_a_second_machine_under_one_tag_is_deleted(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    await db.insert(a_vm(VM, VmStatus.RUNNING, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    at_cloud(cloud, "m2", f"gamer-main-{VM}")

    await sweeper.sweep()

    assert list(cloud.rented) == ["m1"]
    kept = await db.get(Vm, VM)
    assert kept is not None
    assert kept.status is VmStatus.RUNNING


@pytest.mark.parametrize(
    ("status", "left"), [(LaunchStatus.RUNNING, 1), (LaunchStatus.FAILED, 0), (LaunchStatus.CANCELLED, 0)]
)
async def test_a_machine_of_a_launch_lives_as_long_as_the_launch(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, status: LaunchStatus, left: int
) -> None:
    await db.insert(a_launch(status))
    await db.insert(a_vm(VM, VmStatus.PROVISIONING, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    await sweeper.sweep()

    assert len(cloud.rented) == left


async def test_a_cloud_that_does_not_answer_changes_nothing(db: Database, sweeper: Sweeper, cloud: FakeCloud) -> None:
    await db.insert(a_vm(VM, VmStatus.RUNNING, "m1"))
    cloud.failures["machines"] = [ProviderBusyError("500")]

    assert await sweeper.sweep() == []
    vm = await db.get(Vm, VM)
    assert vm is not None
    assert vm.status is VmStatus.RUNNING


async def test_a_machine_that_cannot_be_deleted_holds_up_no_other_and_fills_no_audit_log(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    await sweeper.sweep()
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    cloud.failures["release"] = [ProviderBusyError("500")] * 3

    first = await sweeper.sweep()
    await sweeper.sweep()
    at_cloud(cloud, "m2", "gamer-main-200000000000000002")
    third = await sweeper.sweep()
    fourth = await sweeper.sweep()

    assert [(each.machine_id, each.done) for each in first + third + fourth] == [
        ("m1", False),
        ("m1", False),
        ("m2", True),
        ("m1", True),
    ]
    trail = await db.find(AuditEntry, {}, sort=[("_id", 1)])
    assert [(each.subject_id, each.outcome) for each in trail] == [
        (f"gamer-main-{VM}", Outcome.FAILED),
        ("gamer-main-200000000000000002", Outcome.DONE),
        (f"gamer-main-{VM}", Outcome.DONE),
    ]


async def test_whoever_sees_first_that_a_machine_is_gone_tells_what_went_with_it(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    vm = a_vm(VM, VmStatus.RUNNING, "m1")
    vm.saves_pending, vm.saved_at = True, NOW.replace(hour=13, minute=5)
    await db.insert(vm)

    await sweeper.sweep()

    gone = await db.get(Vm, VM)
    assert gone is not None
    assert gone.status is VmStatus.DELETED
    assert gone.saves_warning == "Progress on this machine after 13:05 UTC is lost"


async def test_a_lost_machine_costs_until_its_cloud_took_the_deletion(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    vm = a_vm(VM, VmStatus.LOST, "m1")
    taken_at = NOW - timedelta(minutes=7)
    vm.going_since = taken_at
    await db.insert(vm)
    await Meter(db).record_state(vm, UsageState.RUNNING, NOW - timedelta(hours=1))

    await sweeper.sweep()

    (interval,) = await db.find(UsageInterval, {"vm_id": VM})
    assert interval.end is not None
    assert abs(interval.end - taken_at) < timedelta(milliseconds=1)


async def test_a_machine_that_its_cloud_has_back_goes_on_costing(
    db: Database, sweeper: Sweeper, cloud: FakeCloud
) -> None:
    vm = a_vm(VM, VmStatus.LOST, "m1")
    vm.going_since = NOW - timedelta(minutes=7)
    await db.insert(vm)
    await Meter(db).record_state(vm, UsageState.RUNNING, NOW - timedelta(hours=1))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    await sweeper.sweep()

    (interval,) = await db.find(UsageInterval, {"vm_id": VM})
    assert interval.end is not None
    assert interval.end >= NOW
