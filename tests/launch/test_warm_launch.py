"""A launch on a machine of the warm pool: started, not rented, and given back when the launch ends without it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from errors import MachineLostError, ProviderRefusedError
from fleet.messages import machine_workflow_id
from fleet.warm_pool.messages import WarmMachineInput
from fleet.warm_pool.metering import chain_id
from fleet.warm_pool.workflows import WarmMachineWorkflow
from models.launches import Launch, LaunchStatus, LaunchStepName, StepStatus
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from models.warm_machines import WarmMachine, WarmStatus
from placement.coordinates import Position
from tests.fleet.warm_pool.pool import a_machine
from tests.world import World

TALLINN = Position(59.437, 24.7536)


async def ready_machine(world: World, **changes: object) -> WarmMachine:
    machine = a_machine(**changes)
    await world.db.insert(machine)
    await world.client.execute_workflow(
        WarmMachineWorkflow.run,
        WarmMachineInput(machine.id),
        id=f"warm-{machine.id}",
        task_queue=world.engine.task_queue,
    )
    return await again(world, machine)


async def again(world: World, machine: WarmMachine) -> WarmMachine:
    found = await world.db.get(WarmMachine, machine.id)
    assert found is not None
    return found


def statuses(launch: Launch) -> dict[LaunchStepName, StepStatus]:
    return {step.name: step.status for step in launch.steps}


async def test_a_launch_starts_the_machine_that_is_ready_and_installs_nothing(world: World) -> None:
    machine = await ready_machine(world)
    installed = world.streaming.calls["install"]

    launch = await world.until_over(await world.launch())

    vm = await world.vm(launch)
    assert (launch.status, vm.id, vm.status) == (LaunchStatus.READY, machine.id, VmStatus.RUNNING)
    assert (world.cloud.ever_rented, world.streaming.calls["install"]) == (1, installed)
    done = statuses(launch)
    assert (done[LaunchStepName.CREATE_VM], done[LaunchStepName.INSTALL_STREAMING]) == (StepStatus.SKIPPED,) * 2
    assert (await again(world, machine)).status is WarmStatus.TAKEN


async def test_temporal_knows_which_machines_players_have_had(world: World) -> None:
    had, unused = await ready_machine(world), await ready_machine(world)

    vm = await world.vm(await world.until_over(await world.launch()))
    await world.client.get_workflow_handle(machine_workflow_id(vm.id)).terminate()

    assert vm.id == had.id
    assert [await world.engine.was_started(machine_workflow_id(each.id)) for each in (had, unused)] == [True, False]


async def test_its_books_pass_from_the_pool_to_the_player_without_gap_or_overlap(world: World) -> None:
    machine = await ready_machine(world)

    await world.until_over(await world.launch())

    pooled = await world.db.find(UsageInterval, {"vm_id": chain_id(machine.id)}, sort=[("number", 1)])
    players = await world.db.find(UsageInterval, {"vm_id": machine.id}, sort=[("number", 1)])
    chain = [*pooled, *players]
    assert [each.end for each in chain] == [*(each.start for each in chain[1:]), None]
    assert [each.state for each in players] == [UsageState.STOPPED, UsageState.RUNNING]
    assert {each.user_id for each in players} == {"player-1"}


async def test_a_machine_whose_hardware_was_given_away_is_released_and_a_new_one_rented(world: World) -> None:
    machine = await ready_machine(world)
    world.cloud.given_away = True

    launch = await world.until_over(await world.launch())

    vm = await world.vm(launch)
    first = await world.db.get(Vm, machine.id)
    assert first is not None
    assert (launch.status, first.status, vm.id == machine.id) == (LaunchStatus.READY, VmStatus.DELETED, False)
    assert len(world.cloud.rented) == 1


async def test_a_machine_that_breaks_while_its_game_is_set_up_is_released_and_a_new_one_rented(world: World) -> None:
    machine = await ready_machine(world)
    world.streaming.failures["verify_stream"] = [MachineLostError("the machine is no longer on")]

    launch = await world.until_over(await world.launch())

    vm = await world.vm(launch)
    first = await world.db.get(Vm, machine.id)
    assert first is not None
    assert (launch.status, first.status, vm.id == machine.id) == (LaunchStatus.READY, VmStatus.DELETED, False)


async def test_a_failing_launch_deletes_the_machine_instead_of_returning_it(world: World) -> None:
    machine = await ready_machine(world)
    world.streaming.always["configure_game"] = ProviderRefusedError("no")

    launch = await world.until_over(await world.launch())

    assert (launch.status, world.cloud.states()) == (LaunchStatus.FAILED, [])
    assert (await again(world, machine)).status is WarmStatus.TAKEN


async def test_a_cancelled_launch_deletes_the_machine_that_it_took(world: World) -> None:
    await ready_machine(world)
    starting = world.cloud.hold("start")
    launch = await world.launch()
    await starting.wait()

    await world.launches.cancel(launch)
    world.cloud.let_go("start")

    assert (await world.until_over(launch)).status is LaunchStatus.CANCELLED
    assert world.cloud.states() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"near": TALLINN},
        {"max_usd_per_hour": Decimal("0.45")},
    ],
    ids=["too far away", "too expensive"],
)
async def test_a_machine_that_does_not_suit_the_launch_stays_in_the_pool(
    world: World, changes: dict[str, object]
) -> None:
    machine = await ready_machine(world, usd_per_hour=Decimal("0.50"))

    launch = await world.until_over(await world.launch(**changes))

    assert (launch.status, world.cloud.ever_rented) == (LaunchStatus.READY, 2)
    assert (await again(world, machine)).status is WarmStatus.READY
