"""The first and the last moment of a machine's run: no command is lost, none is answered as done that is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from errors import InvalidStateError
from fleet.inputs import MachineInput
from fleet.messages import Command, CommandRequest, machine_workflow_id
from fleet.workflow import MachineWorkflow
from models.vms import Vm, VmStatus
from tests.fault_proxy import Fault, FaultProxy
from tests.world import World

Handle = WorkflowHandle[Any, Any]


async def begun_again(world: World, vm: Vm) -> Handle:
    """A new run for this VM, as after its workflow was terminated."""
    handle = world.client.get_workflow_handle(machine_workflow_id(vm.id))
    await handle.terminate()
    return await world.client.start_workflow(
        MachineWorkflow.run, MachineInput(vm.id), id=handle.id, task_queue=world.engine.task_queue
    )


async def ended(handle: Handle) -> WorkflowExecutionStatus | None:
    await asyncio.wait_for(handle.result(), 20)
    return (await handle.describe()).status


@pytest.mark.timeout(120)
async def test_a_command_in_the_first_moment_of_a_run_is_carried_out(faulty_world: World, faults: FaultProxy) -> None:
    world = faulty_world
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    vm = await world.until(vm, VmStatus.STOPPED)

    slow = faults.add(Fault("find", collections=["vms"], delay_s=1.0, times=1))
    await begun_again(world, vm)
    await asyncio.wait_for(slow.reached.wait(), 20)
    answer = await world.engine.ask_machine(vm.id, CommandRequest(Command.START, "asked"))
    running = await world.until(vm, VmStatus.RUNNING)

    assert (answer.accepted, answer.status) == (True, VmStatus.STARTING)
    assert running.detail is None
    assert world.cloud.calls["start"] == 1


@pytest.mark.timeout(120)
async def test_a_command_that_meets_a_closed_record_is_refused_and_the_workflow_ends(
    faulty_world: World, faults: FaultProxy
) -> None:
    world = faulty_world
    vm = await world.machine()
    handle: Handle = world.client.get_workflow_handle(machine_workflow_id(vm.id))
    looking = world.streaming.hold("activity")
    await asyncio.wait_for(looking.wait(), 20)
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"status": VmStatus.DELETED}})
    slow = faults.add(Fault("find", collections=["vms"], delay_s=1.0, skip=1))  # after the look that finds it closed
    world.streaming.let_go("activity")
    await asyncio.wait_for(slow.reached.wait(), 20)

    asked = asyncio.create_task(world.engine.ask_machine(vm.id, CommandRequest(Command.STOP, "asked")))

    try:
        answer = await asked
        assert (answer.accepted, answer.status) == (False, VmStatus.DELETED)
    except InvalidStateError:
        pass  # the workflow had ended before the question reached it
    assert await ended(handle) is WorkflowExecutionStatus.COMPLETED


@pytest.mark.timeout(120)
@pytest.mark.parametrize("status", [VmStatus.STOPPING, VmStatus.STARTING, VmStatus.DELETING])
async def test_what_a_terminated_run_left_undone_is_finished_by_the_next(world: World, status: VmStatus) -> None:
    vm = await world.machine()
    await world.client.get_workflow_handle(machine_workflow_id(vm.id)).terminate()
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"status": status}})

    await world.client.start_workflow(
        MachineWorkflow.run, MachineInput(vm.id), id=machine_workflow_id(vm.id), task_queue=world.engine.task_queue
    )

    finished = {
        VmStatus.STOPPING: VmStatus.STOPPED,
        VmStatus.STARTING: VmStatus.RUNNING,
        VmStatus.DELETING: VmStatus.DELETED,
    }
    done = await world.until(vm, finished[status])
    assert done.saves_pending is (status is VmStatus.STARTING)
