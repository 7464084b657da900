"""A launch while the database refuses its writes: each in its turn, or all of them for a while."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus

from errors import ProviderRefusedError, UnavailableError
from fleet.messages import launch_workflow_id
from launch.recovery import LaunchRecovery
from models.launches import Launch, LaunchStatus
from models.usage import UsageInterval
from models.vms import Vm, VmStatus
from tests.fault_proxy import WRITES, Fault, FaultProxy
from tests.fault_walk import ERRORS, each_fails_once
from tests.world import World

# Some hundred attempts of activities take a busy machine longer than the time that other tests have.
pytestmark = pytest.mark.timeout(240)


async def agrees(world: World, launch: Launch) -> Launch:
    """The launch at its end, when records, events, meter, cloud and workflow say the same."""
    ended = await world.until_over(launch)
    run = await world.client.get_workflow_handle(launch_workflow_id(launch.id)).describe()
    events = await world.events(ended)
    vms = await world.db.find(Vm, {"launch_id": launch.id})
    running = [vm for vm in vms if vm.status is VmStatus.RUNNING]
    metered = await world.db.find(UsageInterval, {"end": None})
    assert [event.sequence for event in events] == list(range(1, ended.last_sequence + 1))
    assert {vm.status for vm in vms} <= {VmStatus.RUNNING, VmStatus.DELETED, VmStatus.FAILED}
    assert sorted(world.cloud.rented) == sorted(str(vm.provider_id) for vm in running)
    assert [each.vm_id for each in metered] == [vm.id for vm in running]
    assert run.status in {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.RUNNING}
    return ended


async def test_a_launch_becomes_ready_although_every_write_fails_once(faulty_world: World, faults: FaultProxy) -> None:
    launch = await faulty_world.launch()
    every = each_fails_once(faults)

    ready = await agrees(faulty_world, launch)

    assert ready.status is LaunchStatus.READY
    assert min(fault.met for fault in every) >= 5
    assert faulty_world.cloud.ever_rented == 1


async def test_a_launch_that_fails_leaves_nothing_although_every_write_fails_once(
    faulty_world: World, faults: FaultProxy
) -> None:
    faulty_world.streaming.failures["mount_library"] = [ProviderRefusedError("no bucket")]
    launch = await faulty_world.launch()
    each_fails_once(faults)

    failed = await agrees(faulty_world, launch)

    assert (failed.status, failed.failure) == (LaunchStatus.FAILED, "no bucket")
    assert (faulty_world.cloud.ever_rented, faulty_world.cloud.rented) == (1, {})


async def test_a_cancelled_launch_leaves_nothing_although_every_write_fails_once(
    faulty_world: World, faults: FaultProxy
) -> None:
    reached = faulty_world.streaming.hold("install")
    launch = await faulty_world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    cancelling = await faulty_world.launches.cancel(launch)
    each_fails_once(faults)

    cancelled = await agrees(faulty_world, cancelling)

    assert cancelled.status is LaunchStatus.CANCELLED
    assert faulty_world.cloud.rented == {}


async def test_a_machine_is_given_back_while_the_database_takes_no_word_of_it(
    faulty_world: World, faults: FaultProxy
) -> None:
    reached = faulty_world.streaming.hold("install")
    launch = await faulty_world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    asked = faulty_world.cloud.after_calls("release", 1)
    await faulty_world.launches.cancel(launch)

    with faults.fault(Fault([*WRITES, "find"], error=ERRORS[3])) as outage:
        await asyncio.wait_for(asked.wait(), 20)
        still = await faulty_world.now(launch)
        given_back_at = datetime.now(UTC)
        await asyncio.wait_for(outage.after(outage.met + 8).wait(), 20)  # it goes on, and costs nothing
    cancelled = await agrees(faulty_world, launch)

    (interval,) = await faulty_world.db.find(UsageInterval, {})
    assert interval.end is not None
    assert interval.end <= given_back_at + timedelta(seconds=1)
    assert still.status is LaunchStatus.CANCELLING
    assert cancelled.status is LaunchStatus.CANCELLED


@pytest.mark.parametrize("how", ["reset", "lose_answer"])
async def test_a_launch_becomes_ready_although_connections_break_at_every_third_write(
    faulty_world: World, faults: FaultProxy, how: str, forgotten_sockets: None
) -> None:
    launch = await faulty_world.launch()
    count = iter(range(10_000))
    broken = Fault(WRITES, when=lambda command: next(count) % 3 == 0)
    setattr(broken, how, True)
    faults.add(broken)

    ready = await agrees(faulty_world, launch)

    assert ready.status is LaunchStatus.READY
    assert faulty_world.cloud.ever_rented == 1


async def test_a_launch_that_was_written_without_an_answer_is_taken_back(
    faulty_world: World, faults: FaultProxy
) -> None:
    faults.add(Fault("insert", collections=["launches"], times=1, error=ERRORS[4]))

    with pytest.raises(UnavailableError):
        await faulty_world.launch()

    assert await faulty_world.db.find(Launch, {}) == []
    assert await LaunchRecovery(faulty_world.db, faulty_world.engine, after=timedelta(0)).rescue() == 0


async def test_a_launch_that_cannot_be_taken_back_is_named_in_the_refusal(
    faulty_world: World, faults: FaultProxy
) -> None:
    faults.add(Fault("insert", collections=["launches"], times=1, error=ERRORS[4]))
    faults.add(Fault("delete", collections=["launches"], times=1, error=ERRORS[2]))

    with pytest.raises(UnavailableError) as refused:
        await faulty_world.launch()

    (launch,) = await faulty_world.db.find(Launch, {})
    assert refused.value.message.endswith(f"launch {launch.id} may still start")


async def test_a_release_that_finds_its_record_closed_ends_the_launch(world: World) -> None:
    reached = world.streaming.hold("install")
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    releasing = world.cloud.hold("release")
    await world.launches.cancel(launch)
    await asyncio.wait_for(releasing.wait(), 20)

    await world.db.update_many(Vm, {"launch_id": launch.id}, {"$set": {"status": VmStatus.FAILED}})
    world.cloud.let_go("release")
    cancelled = await agrees(world, launch)

    assert cancelled.status is LaunchStatus.CANCELLED
