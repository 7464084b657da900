"""A command that was answered as unavailable does not happen later."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from errors import UnavailableError
from fleet.inputs import MachineInput
from fleet.messages import Command, CommandRequest, machine_workflow_id
from fleet.workflow import MachineWorkflow
from launch.temporal_client import TemporalWorkflowClient
from models.vms import Vm, VmStatus
from tests.fault_proxy import Fault, FaultProxy
from tests.world import World

pytestmark = pytest.mark.timeout(120)


async def stopped(world: World) -> Vm:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    return await world.until(vm, VmStatus.STOPPED)


async def test_a_command_whose_time_was_up_before_the_machine_took_it_is_never_carried_out(
    faulty_world: World, faults: FaultProxy
) -> None:
    world = faulty_world
    vm = await stopped(world)
    hasty = TemporalWorkflowClient(world.client, world.engine.task_queue, asking=timedelta(seconds=1))
    handle = world.client.get_workflow_handle(machine_workflow_id(vm.id))
    await handle.terminate()
    slow = faults.add(Fault("find", collections=["vms"], delay_s=4, times=1))
    await world.client.start_workflow(
        MachineWorkflow.run, MachineInput(vm.id), id=handle.id, task_queue=world.engine.task_queue
    )
    await asyncio.wait_for(slow.reached.wait(), 20)

    with pytest.raises(UnavailableError, match=r"does not begin after \d\d:\d\d:\d\d UTC"):
        await hasty.ask_machine(vm.id, CommandRequest(Command.START, "asked"))
    later = await world.engine.ask_machine(vm.id, CommandRequest(Command.STOP, "is it there now"))

    assert (later.accepted, later.status) == (True, VmStatus.STOPPED)
    assert (await world.again(vm)).status is VmStatus.STOPPED
    assert world.cloud.calls["start"] == 0


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_clocks_that_differ_refuse_no_command(world: World, minutes: int) -> None:
    vm = await stopped(world)
    elsewhere = TemporalWorkflowClient(
        world.client, world.engine.task_queue, now=lambda: datetime.now(UTC) + timedelta(minutes=minutes)
    )

    answer = await elsewhere.ask_machine(vm.id, CommandRequest(Command.START, "asked"))

    assert (answer.accepted, answer.status) == (True, VmStatus.STARTING)
    await world.until(vm, VmStatus.RUNNING)
