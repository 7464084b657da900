"""An installation that fails is repeated, and a machine on which it goes on failing is given up for another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from errors import MachineLostError, ProviderBusyError, ProviderRefusedError
from launch.game_source import GameSource
from launch.messages import StepInput
from launch.setup_activities import SetupActivities
from models.launches import Launch, LaunchStatus, LaunchStepName
from providers.base import MachineState
from tests.fakes.games import FakeGames
from tests.world import World

pytestmark = pytest.mark.test_server


def activities_of(world: World) -> SetupActivities:
    games = GameSource(world.db, FakeGames())
    return SetupActivities(world.db, world.streaming, games, world.registry)


@pytest.mark.parametrize(
    ("attempt", "minutes", "raised"),
    [(1, 0, ProviderBusyError), (9, 5, ProviderBusyError), (2, 30, ProviderBusyError), (6, 11, MachineLostError)],
)
async def test_an_installation_has_some_attempts_and_ten_minutes(
    world: World, attempt: int, minutes: int, raised: type[Exception]
) -> None:
    vm = await world.machine()
    world.streaming.always["install"] = ProviderBusyError("no package mirror")
    steps = activities_of(world)
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    environment = ActivityEnvironment(world.client)
    environment.info = replace(environment.info, attempt=attempt, scheduled_time=began, workflow_id="launch-1")

    with pytest.raises(raised, match="no package mirror"):
        await environment.run(steps.install, StepInput(vm.launch_id, vm.id))


@pytest.mark.parametrize(
    ("step", "minutes", "raised"),
    [
        ("mount_library", 9, ProviderBusyError),
        ("mount_library", 11, ProviderRefusedError),
        ("restore_saves", 11, ProviderRefusedError),
        ("pull_image", 29, ProviderBusyError),
        ("pull_image", 31, ProviderRefusedError),
    ],
)
async def test_a_step_beside_the_set_up_does_not_fail_on_for_the_set_ups_whole_time(
    world: World, step: str, minutes: int, raised: type[Exception]
) -> None:
    vm = await world.machine()
    world.streaming.always[step] = ProviderBusyError("no package mirror")
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    installed = f"steps.{list(LaunchStepName).index(LaunchStepName.INSTALL_STREAMING)}.finished_at"
    await world.db.update(Launch, {"_id": vm.launch_id}, {"$set": {installed: began}})
    environment = ActivityEnvironment(world.client)
    environment.info = replace(environment.info, scheduled_time=began, workflow_id="launch-1")

    with pytest.raises(raised, match="no package mirror"):
        await environment.run(getattr(activities_of(world), step), StepInput(vm.launch_id, vm.id))


async def test_a_machine_that_its_host_stops_during_the_installation_is_left_for_another(world: World) -> None:
    world.streaming.failures["install"] = [ProviderBusyError("no route")]
    reached = world.streaming.hold("install")
    launch = await world.launch()
    await reached.wait()

    world.cloud.become_all(MachineState.STOPPED_RELEASED)
    world.streaming.let_go("install")
    ended = await world.until_over(launch)

    assert ended.status is LaunchStatus.READY
    assert [attempt.outcome for attempt in ended.attempts][1:] == [
        "failed: the machine is no longer on: no route",
        "rented",
    ]
    assert len(world.cloud.rented) == 1
