"""Steps of a launch that run side by side: what waits for what, and what ends with what."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from errors import MachineLostError, ProviderBusyError, ProviderRefusedError
from models.launches import Launch, LaunchStatus, LaunchStepName, StepStatus
from models.vms import Vm, VmStatus
from tests.world import World

SIDE_BY_SIDE = ("install", "pull_image", "mount_library", "restore_saves")
STEPS = {
    "install": LaunchStepName.INSTALL_STREAMING,
    "pull_image": LaunchStepName.CONFIGURE_GAME,
    "mount_library": LaunchStepName.MOUNT_LIBRARY,
    "restore_saves": LaunchStepName.RESTORE_SAVES,
}


async def held(world: World) -> Launch:
    """A launch in which all four run, none of them ended."""
    reached = [world.streaming.hold(method) for method in SIDE_BY_SIDE]
    launch = await world.launch()
    async with asyncio.timeout(30):
        for each in reached:
            await each.wait()
    return launch


async def time_limits(world: World, launch: Launch) -> dict[str, timedelta]:
    """Return the time limit of each activity of a launch, by the activity's name."""
    limits = {}
    async for event in world.client.get_workflow_handle(f"launch-{launch.id}").fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        limits[scheduled.activity_type.name] = scheduled.schedule_to_close_timeout.ToTimedelta()
    return limits


def statuses(launch: Launch) -> dict[LaunchStepName, StepStatus]:
    return {step.name: step.status for step in launch.steps}


async def test_four_steps_run_at_a_time_and_the_game_is_configured_after_the_last_of_them(world: World) -> None:
    launch = await held(world)
    during = statuses(await world.now(launch))
    for method in ("pull_image", "mount_library", "restore_saves"):
        world.streaming.let_go(method)
    await world.until_step(launch, LaunchStepName.RESTORE_SAVES, StepStatus.DONE)
    configured_before = world.streaming.calls["configure_game"]
    world.streaming.let_go("install")

    after = await world.until_over(launch)

    assert {name for name, status in during.items() if status is StepStatus.RUNNING} == set(STEPS.values())
    assert configured_before == 0
    assert world.streaming.pulled == ["ghcr.io/games-on-whales/pegasus:edge"]
    assert after.status is LaunchStatus.READY
    assert set(statuses(after).values()) == {StepStatus.DONE}
    progress = [event.progress for event in await world.events(launch)]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


async def test_the_lines_of_each_step_stand_under_that_step(world: World) -> None:
    launch = await world.until_over(await world.launch())

    told = {event.message: event.step for event in await world.events(launch)}
    assert told["Installing the graphics driver"] is LaunchStepName.INSTALL_STREAMING
    assert told["Fetching the emulator"] is LaunchStepName.CONFIGURE_GAME
    assert told["The emulator is on the machine"] is LaunchStepName.CONFIGURE_GAME


@pytest.mark.parametrize("method", SIDE_BY_SIDE)
async def test_a_refusal_in_one_step_ends_the_others_and_gives_the_machine_back(world: World, method: str) -> None:
    world.streaming.failures[method] = [ProviderRefusedError("no")]
    launch = await held(world)
    world.streaming.let_go(method)

    over = await world.until_over(launch)

    assert (over.status, over.failure) == (LaunchStatus.FAILED, "no")
    found = statuses(over)
    assert found[STEPS[method]] is StepStatus.FAILED
    assert {found[STEPS[other]] for other in SIDE_BY_SIDE if other != method} == {StepStatus.SKIPPED}
    assert world.streaming.calls["configure_game"] == 0
    assert world.cloud.rented == {}
    assert (await world.vm(launch)).status is VmStatus.DELETED


@pytest.mark.parametrize("method", SIDE_BY_SIDE)
async def test_a_machine_that_breaks_in_one_step_is_left_when_the_others_have_ended(world: World, method: str) -> None:
    world.streaming.failures[method] = [MachineLostError("the disk is broken")]
    launch = await held(world)
    for each in SIDE_BY_SIDE:
        world.streaming.release_gate(each)

    over = await world.until_over(launch)

    assert over.status is LaunchStatus.READY
    assert [each.outcome for each in over.attempts] == ["rented", "failed: the disk is broken", "rented"]
    assert set(statuses(over).values()) == {StepStatus.DONE}
    assert len(world.cloud.rented) == 1


async def test_no_machine_is_given_back_while_a_step_on_it_may_still_run(world: World) -> None:
    """The pull ignores its end for a while, as a command over a broken connection does."""
    world.streaming.slow_to_end["pull_image"] = asyncio.Event()
    launch = await held(world)

    await world.launches.cancel(launch)
    await world.streaming.was_told_to_end("pull_image")
    rented_meanwhile = dict(world.cloud.rented)
    world.streaming.slow_to_end["pull_image"].set()
    over = await world.until_over(launch)

    assert len(rented_meanwhile) == 1
    assert over.status is LaunchStatus.CANCELLED
    assert world.cloud.rented == {}
    assert {vm.status for vm in await world.db.find(Vm, {"launch_id": launch.id})} == {VmStatus.DELETED}


async def test_on_a_machine_that_runs_the_library_and_the_saves_are_brought_at_a_time(world: World) -> None:
    await world.machine()
    reached = [world.streaming.hold(method) for method in SIDE_BY_SIDE[1:]]
    launch = await world.launch()
    async with asyncio.timeout(30):
        for each in reached:
            await each.wait()
    for method in SIDE_BY_SIDE[1:]:
        world.streaming.let_go(method)

    over = await world.until_over(launch)

    assert over.status is LaunchStatus.READY
    assert world.cloud.ever_rented == 1
    assert statuses(over)[LaunchStepName.INSTALL_STREAMING] is StepStatus.SKIPPED


async def test_what_the_set_up_disturbs_is_repeated_without_a_word_and_installs_nothing_meanwhile(world: World) -> None:
    world.streaming.failures["pull_image"] = [ProviderBusyError("docker: command not found")]
    world.streaming.failures["mount_library"] = [ProviderBusyError("rclone can be installed once the set-up is over")]
    world.streaming.hold("install")
    launch = await world.launch()

    await world.until_step(launch, LaunchStepName.MOUNT_LIBRARY, StepStatus.DONE)
    await world.until_told(launch, "The emulator is on the machine")
    world.streaming.let_go("install")
    over = await world.until_over(launch)

    assert over.status is LaunchStatus.READY
    assert (world.streaming.calls["pull_image"], world.streaming.may_install) == (2, [False, False])
    assert [event.message for event in await world.events(launch) if "try failed" in event.message] == []


async def test_what_fails_after_the_set_up_is_a_failure_of_its_step(world: World) -> None:
    held = world.streaming.hold("mount_library")
    launch = await world.launch()
    await asyncio.wait_for(held.wait(), 30)
    await world.until_step(launch, LaunchStepName.INSTALL_STREAMING, StepStatus.DONE)
    world.streaming.failures["mount_library"] = [
        ProviderBusyError("apt is broken"),
        ProviderBusyError("apt is broken"),
        ProviderRefusedError("the bucket says no"),
    ]

    world.streaming.release_gate("mount_library")
    over = await world.until_over(launch)

    assert (world.streaming.calls["mount_library"], world.streaming.may_install[-1]) == (3, True)
    assert (over.status, over.failure) == (LaunchStatus.FAILED, "the bucket says no")


async def test_the_steps_beside_the_set_up_have_its_time_and_their_own(world: World) -> None:
    first = await world.until_over(await world.launch())
    on_its_machine = await world.until_over(await world.launch())

    beside, alone = await time_limits(world, first), await time_limits(world, on_its_machine)

    assert world.cloud.ever_rented == 1
    for method in SIDE_BY_SIDE[1:]:
        assert alone[method] > timedelta(0)
        assert beside[method] == beside["install"] + alone[method]
    assert beside["configure_game"] == alone["configure_game"]
