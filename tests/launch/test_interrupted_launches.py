"""A launch whose run has ended without it is ended, and its machine is given back."""

from __future__ import annotations

import asyncio

import pytest

from fleet.messages import launch_workflow_id, machine_workflow_id
from fleet.owners import Owners
from launch.ended_runs import END_LAUNCH, RELEASE_MACHINE, InterruptedLaunches
from models.audit import AuditEntry
from models.launches import Launch, LaunchStatus
from models.usage import UsageInterval
from models.vms import Vm, VmStatus
from tests.world import World

pytestmark = pytest.mark.timeout(120)


async def terminated(world: World, step: str, *, cancelled: bool) -> Launch:
    """A launch whose workflow is terminated in the middle of a step."""
    reached = world.streaming.hold(step)
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 30)
    if cancelled:
        await world.db.update(Launch, {"_id": launch.id}, {"$set": {"status": LaunchStatus.CANCELLING}})
    await world.client.get_workflow_handle(launch_workflow_id(launch.id)).terminate()
    world.streaming.let_go(step)
    return launch


async def until_listed_as_closed(world: World, launch: Launch) -> None:
    """Temporal's list of workflows lags; the sweeper looks again in its next round."""
    now = await world.now(launch)
    async with asyncio.timeout(30):
        while True:
            owners = await Owners.now(world.engine)
            if await owners.find_interrupted([now]):
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_launch_whose_workflow_was_terminated_ends_when_its_machine_is_gone(
    world: World, cancelled: bool
) -> None:
    launch = await terminated(world, "install", cancelled=cancelled)
    interrupted = InterruptedLaunches(world.db, world.engine)

    await until_listed_as_closed(world, launch)
    first = await interrupted.settle()
    still = await world.now(launch)
    (vm,) = await world.db.find(Vm, {"launch_id": launch.id})
    gone = await world.until(vm, VmStatus.DELETED)
    second, third = await interrupted.settle(), await interrupted.settle()
    ended = await world.now(launch)

    assert (first, second, third) == (0, 1, 0)
    assert still.status is (LaunchStatus.CANCELLING if cancelled else LaunchStatus.RUNNING)
    assert ended.status is (LaunchStatus.CANCELLED if cancelled else LaunchStatus.FAILED)
    assert (world.cloud.rented, gone.status) == ({}, VmStatus.DELETED)
    assert await world.db.count(UsageInterval, {"end": None}) == 0
    events = await world.events(ended)
    assert [event.sequence for event in events] == list(range(1, ended.last_sequence + 1))
    entries = await world.db.find(AuditEntry, {"actor_id": "gamer:sweeper"}, sort=[("_id", 1)])
    assert [(each.action, each.subject_id) for each in entries] == [(RELEASE_MACHINE, vm.id), (END_LAUNCH, launch.id)]


async def test_in_a_copy_of_a_database_a_launch_ends_and_its_machine_is_left_to_the_original(world: World) -> None:
    launch = await terminated(world, "install", cancelled=False)
    copy = InterruptedLaunches(world.db, world.engine, deployment="staging")

    await until_listed_as_closed(world, launch)
    assert await copy.settle() == 1

    (vm,) = await world.db.find(Vm, {"launch_id": launch.id})
    assert (await world.now(launch)).status is LaunchStatus.FAILED
    assert (vm.status, len(world.cloud.rented)) == (VmStatus.PROVISIONING, 1)
    assert not await world.engine.is_open(machine_workflow_id(vm.id))


async def test_a_machine_whose_restored_record_says_that_it_is_being_rented_is_given_back_with_its_saves(
    world: World,
) -> None:
    launch = await world.launch()
    await world.until_over(launch)
    vm = await world.vm(launch)
    before = {"status": LaunchStatus.RUNNING, "ready_at": None, "ended_at": None}
    await world.db.update_many(Launch, {"_id": launch.id}, {"$set": before})
    await world.db.update_many(Vm, {"_id": vm.id}, {"$set": {"status": VmStatus.PROVISIONING}})
    interrupted = InterruptedLaunches(world.db, world.engine)

    await until_listed_as_closed(world, launch)
    ended = [await interrupted.settle()]
    await world.until(vm, VmStatus.DELETED)
    ended.append(await interrupted.settle())

    assert ended == [0, 1]
    assert world.cloud.rented == {}
    assert [slot.game_id for slot in world.streaming.uploaded][-1:] == ["mario-odyssey"]
    assert await world.db.count(UsageInterval, {"end": None}) == 0
    assert (await world.now(launch)).status is LaunchStatus.FAILED


async def test_a_launch_under_way_is_left_alone(world: World) -> None:
    reached = world.streaming.hold("install")
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 30)

    assert await InterruptedLaunches(world.db, world.engine).settle() == 0

    world.streaming.let_go("install")
    assert (await world.until_over(launch)).status is LaunchStatus.READY
