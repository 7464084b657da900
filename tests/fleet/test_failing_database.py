"""A machine's commands while the database refuses its writes, each in its turn."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fleet.messages import Command
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from tests.fault_proxy import WRITES, Fault, FaultProxy
from tests.fault_walk import ERRORS, each_fails_once
from tests.world import World

pytestmark = pytest.mark.timeout(240)


async def commanded(world: World, vm: Vm, command: Command, status: VmStatus) -> Vm:
    await world.fleet.command(await world.again(vm), command, "asked")
    return await world.until(vm, status)


async def test_every_command_is_carried_out_although_every_write_fails_once(
    faulty_world: World, faults: FaultProxy
) -> None:
    world = faulty_world
    vm = await world.machine()
    every = each_fails_once(faults)

    stopped = await commanded(world, vm, Command.STOP, VmStatus.STOPPED)
    await commanded(world, vm, Command.START, VmStatus.RUNNING)
    deleted = await commanded(world, vm, Command.DELETE, VmStatus.DELETED)

    assert stopped.saves_pending is False
    assert (deleted.saves_pending, world.cloud.rented) == (False, {})
    assert (world.cloud.calls["stop"], world.cloud.calls["start"], world.cloud.calls["release"]) == (1, 1, 1)
    assert min(fault.met for fault in every) >= 2
    intervals = await world.db.find(UsageInterval, {"vm_id": vm.id}, sort=[("number", 1)])
    assert [each.state for each in intervals] == [UsageState.RUNNING, UsageState.STOPPED, UsageState.RUNNING]
    assert [each.end for each in intervals[:-1]] == [each.start for each in intervals[1:]]
    assert intervals[-1].end is not None


async def test_a_stop_that_an_outage_interrupts_is_finished_after_it(faulty_world: World, faults: FaultProxy) -> None:
    world = faulty_world
    vm = await world.machine()
    saving = world.streaming.hold("upload_saves")
    await world.fleet.command(vm, Command.STOP, "asked")
    await asyncio.wait_for(saving.wait(), 20)

    outage = Fault(WRITES, error=ERRORS[3])
    with faults.fault(outage):
        world.streaming.let_go("upload_saves")
        await asyncio.wait_for(outage.after(5).wait(), 30)
        during = await world.again(vm)
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert during.status is VmStatus.STOPPING
    assert stopped.saves_pending is False
    assert world.cloud.calls["stop"] == 1
    assert stopped.stopped_at is not None
    assert stopped.stopped_at - vm.created_at > timedelta(0)
