"""Three books agree again: clouds, records, and the workflows that answer for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from billing.meter import Meter
from errors import InvalidStateError
from fleet.messages import Command, launch_workflow_id, machine_workflow_id
from fleet.reconciliation import RESTART_WORKFLOW
from fleet.service import MachineService
from fleet.sweep_plan import Action, Verdict
from fleet.sweeper import Sweeper
from models.audit import AuditEntry
from models.database import Database
from models.launches import Launch, LaunchStatus
from models.vms import Vm, VmStatus
from providers.base import MachineId
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud
from tests.fakes.workflows import FakeWorkflows
from tests.fleet.test_sweeper import VM, a_launch, a_vm, at_cloud
from tests.world import World

LAUNCH = "100000000000000001"
OWNER = machine_workflow_id(VM)


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def workflows() -> FakeWorkflows:
    return FakeWorkflows()


@pytest.fixture
async def sweeper(db: Database, cloud: FakeCloud, workflows: FakeWorkflows) -> Sweeper:
    return Sweeper(db, Registry([cloud]), Meter(db), spare_s=0, workflows=workflows)


def done(actions: Sequence[Action]) -> list[tuple[Verdict, str | None]]:
    return [(action.verdict, action.vm_id) for action in actions]


@pytest.mark.parametrize("status", [VmStatus.RUNNING, VmStatus.STOPPING, VmStatus.STOPPED, VmStatus.STARTING])
async def test_a_record_without_its_workflow_gets_it_again_once(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, workflows: FakeWorkflows, status: VmStatus
) -> None:
    await db.insert(a_vm(VM, status, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    first, second = await sweeper.sweep(), await sweeper.sweep()

    assert (done(first), done(second)) == ([(Verdict.RESTART, VM)], [])
    assert workflows.started == [(VM, False)]
    entries = await db.find(AuditEntry, {})
    assert [(each.action, each.subject_id) for each in entries] == [(RESTART_WORKFLOW, VM)]


async def test_a_workflow_that_the_list_does_not_know_yet_is_not_started_again(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, workflows: FakeWorkflows
) -> None:
    await db.insert(a_vm(VM, VmStatus.RUNNING, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    workflows.unlisted.add(OWNER)

    assert await sweeper.sweep() == []
    assert workflows.started == []


@pytest.mark.parametrize(
    ("launch", "started"), [(LaunchStatus.RUNNING, []), (LaunchStatus.FAILED, [(VM, False)]), (None, [(VM, False)])]
)
async def test_a_machine_that_a_launch_was_renting_is_decided_with_the_launch(
    db: Database,
    sweeper: Sweeper,
    workflows: FakeWorkflows,
    launch: LaunchStatus | None,
    started: list[tuple[str, bool]],
) -> None:
    await db.insert(a_vm(VM, VmStatus.PROVISIONING, None))
    if launch is not None:
        await db.insert(a_launch(launch))

    await sweeper.sweep()

    assert workflows.started == started


@pytest.mark.parametrize("status", [VmStatus.LOST, VmStatus.DELETED, VmStatus.FAILED])
async def test_what_has_ended_or_is_the_sweepers_gets_no_workflow(
    db: Database, sweeper: Sweeper, workflows: FakeWorkflows, status: VmStatus
) -> None:
    await db.insert(a_vm(VM, status, "m1"))

    await sweeper.sweep()

    assert workflows.started == []


@pytest.mark.parametrize("status", [VmStatus.RUNNING, VmStatus.DELETING])
async def test_a_record_that_no_cloud_knows_is_left_to_its_workflow(
    db: Database, sweeper: Sweeper, workflows: FakeWorkflows, status: VmStatus
) -> None:
    await db.insert(a_vm(VM, status, "m1"))
    workflows.running.add(OWNER)

    assert await sweeper.sweep() == []


async def test_a_deletion_that_a_launch_is_at_is_left_to_the_launch(
    db: Database, sweeper: Sweeper, workflows: FakeWorkflows
) -> None:
    await db.insert(a_launch(LaunchStatus.CANCELLING))
    await db.insert(a_vm(VM, VmStatus.DELETING, None))
    workflows.running.add(launch_workflow_id(LAUNCH))

    assert await sweeper.sweep() == []
    vm = await db.get(Vm, VM)
    assert vm is not None
    assert vm.status is VmStatus.DELETING


async def test_while_temporal_is_away_nothing_is_settled_that_a_workflow_may_answer_for(
    db: Database, sweeper: Sweeper, workflows: FakeWorkflows
) -> None:
    await db.insert(a_vm(VM, VmStatus.RUNNING, "m1"))
    await db.insert(a_vm("200000000000000002", VmStatus.LOST, "m2"))
    workflows.away = True

    actions = await sweeper.sweep()

    assert done(actions) == [(Verdict.LOSE, "200000000000000002")]


async def test_a_dry_run_starts_nothing(db: Database, sweeper: Sweeper, workflows: FakeWorkflows) -> None:
    await db.insert(a_vm(VM, VmStatus.RUNNING, "m1"))

    await sweeper.sweep(dry_run=True)

    assert workflows.started == []


async def test_a_record_that_cannot_be_read_is_left_alone_and_holds_up_no_other(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, workflows: FakeWorkflows
) -> None:
    strange, other = a_vm(VM, VmStatus.RUNNING, "m1"), a_vm("200000000000000002", VmStatus.RUNNING, "m2")
    await db.insert(strange)
    await db.insert(other)
    await db.update_many(Vm, {"_id": VM}, {"$set": {"vcpus": "eight"}, "$unset": {"tag": ""}})
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    at_cloud(cloud, "m2", other.tag)

    actions = await sweeper.sweep()

    assert done(actions) == [(Verdict.RESTART, other.id)]
    assert sorted(cloud.rented) == ["m1", "m2"]
    assert workflows.started == [(other.id, False)]


async def test_a_machine_of_a_launch_that_cannot_be_read_is_left_alone(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, workflows: FakeWorkflows
) -> None:
    await db.insert(a_launch(LaunchStatus.FAILED))
    await db.update_many(Launch, {"_id": LAUNCH}, {"$set": {"status": "PAUSED"}})
    await db.insert(a_vm(VM, VmStatus.PROVISIONING, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")

    assert await sweeper.sweep() == []
    assert (list(cloud.rented), workflows.started) == ([MachineId("m1")], [])


async def test_temporal_is_asked_only_for_what_its_list_does_not_have(
    db: Database, sweeper: Sweeper, cloud: FakeCloud, workflows: FakeWorkflows
) -> None:
    vms = [a_vm(str(200000000000000000 + number), VmStatus.STOPPED, f"m{number}") for number in range(300)]
    await db.insert_many(vms)
    for vm in vms:
        at_cloud(cloud, vm.provider_id or "", vm.tag)
        workflows.running.add(machine_workflow_id(vm.id))
    workflows.running.remove(machine_workflow_id(vms[7].id))

    actions = await sweeper.sweep()

    assert done(actions) == [(Verdict.RESTART, vms[7].id)]
    assert workflows.calls["open_workflows"] <= 2
    assert workflows.calls["is_open"] == 2  # before the start, and within it


@pytest.mark.timeout(120)
async def test_a_machine_whose_workflow_was_terminated_takes_commands_again(world: World) -> None:
    vm = await world.machine()
    await world.client.get_workflow_handle(machine_workflow_id(vm.id)).terminate()

    await world.fleet.command(vm, Command.STOP, "asked")

    stopped = await asyncio.wait_for(world.until(vm, VmStatus.STOPPED), 60)
    assert stopped.saves_pending is False


@pytest.mark.parametrize("status", [VmStatus.RUNNING, VmStatus.STOPPED, VmStatus.PROVISIONING])
async def test_machines_of_another_deployment_get_no_workflow_in_a_copy_of_its_database(
    db: Database, cloud: FakeCloud, workflows: FakeWorkflows, status: VmStatus
) -> None:
    await db.insert(a_vm(VM, status, "m1"))
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    staging = Sweeper(db, Registry([cloud]), Meter(db), deployment="staging", spare_s=0, workflows=workflows)

    actions = [*await staging.sweep(), *await staging.sweep()]

    assert {action.verdict for action in actions} == {Verdict.FOREIGN}
    assert (workflows.started, cloud.calls["release"], list(cloud.rented)) == ([], 0, ["m1"])


@pytest.mark.timeout(120)
async def test_a_copy_of_a_database_takes_no_command_for_the_machines_of_its_original(world: World) -> None:
    vm = await world.machine()
    await world.client.get_workflow_handle(machine_workflow_id(vm.id)).terminate()
    staging = MachineService(world.db, world.engine, world.engine, deployment="staging")

    with pytest.raises(InvalidStateError, match=f"gamer-main-{vm.id} is a machine of another deployment"):
        await staging.command(vm, Command.STOP, "asked")

    assert await world.engine.is_open(machine_workflow_id(vm.id)) is False
    assert (await world.again(vm)).status is VmStatus.RUNNING


@pytest.mark.timeout(120)
async def test_a_launch_in_a_copy_of_a_database_plays_on_no_machine_of_its_original(world: World) -> None:
    vm = await world.machine()
    await world.db.update_many(Vm, {"_id": vm.id}, {"$set": {"tag": f"gamer-production-{vm.id}"}})

    another = await world.machine()

    assert another.id != vm.id
    assert another.tag == f"gamer-main-{another.id}"
