"""A launch whose process died between its record and its start is started by a schedule of Temporal, or ended."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from billing.workflows import schedule_name
from errors import UnavailableError
from launch.messages import LaunchInput
from launch.recovery import RESCUE, LaunchRecovery, ensure_rescue_schedule
from launch.temporal_client import connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.catalog import ConsoleType
from models.launches import Launch, LaunchStatus, LaunchStepName, Step
from tests.world import World


async def a_record(world: World, age: timedelta, status: LaunchStatus = LaunchStatus.QUEUED) -> Launch:
    """What a process leaves that dies before it has handed the launch to the engine."""
    launch = Launch(
        id=str(secrets.randbelow(9 * 10**17) + 10**17),
        caller_id="player-1",
        idempotency_key=secrets.token_hex(4),
        user_id="player-1",
        console=ConsoleType.SWITCH,
        game_id="mario-odyssey",
        idle_stop_minutes=15,
        max_session_hours=4,
        status=status,
        steps=[Step(name=name) for name in LaunchStepName],
        requested_at=datetime.now(UTC) - age,
    )
    await world.db.insert(launch)
    return launch


async def test_a_launch_that_nobody_began_becomes_ready(world: World) -> None:
    launch = await a_record(world, timedelta(minutes=1))

    found = await LaunchRecovery(world.db, world.engine).rescue()
    ended = await world.until_over(launch)

    assert (found, ended.status) == (1, LaunchStatus.READY)
    assert await LaunchRecovery(world.db, world.engine).rescue() == 0


async def test_a_launch_that_was_cancelled_before_anybody_began_it_is_cancelled(world: World) -> None:
    launch = await a_record(world, timedelta(minutes=1))
    await world.launches.cancel(launch)

    await LaunchRecovery(world.db, world.engine).rescue()
    ended = await world.until_over(launch)

    assert ended.status is LaunchStatus.CANCELLED
    assert world.cloud.ever_rented == 0


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (LaunchStatus.QUEUED, LaunchStatus.FAILED, "It could not start in time; nothing was rented"),
        (LaunchStatus.CANCELLING, LaunchStatus.CANCELLED, "Cancelled. Nothing was rented"),
    ],
)
async def test_a_launch_that_waited_for_too_long_is_ended_and_rents_nothing_even_when_it_is_begun_late(
    world: World, before: LaunchStatus, after: LaunchStatus, words: str
) -> None:
    launch = await a_record(world, timedelta(hours=1), before)

    await LaunchRecovery(world.db, world.engine).rescue()
    await world.engine.start_launch(LaunchInput(launch.id))
    await world.client.get_workflow_handle(f"launch-{launch.id}").result()

    ended = await world.now(launch)
    assert (ended.status, ended.failure) == (after, words if after is LaunchStatus.FAILED else None)
    assert ended.ended_at is not None
    assert [event.message for event in await world.events(launch)] == [words]
    assert (world.cloud.ever_rented, ended.vm_id) == (0, None)


async def test_a_young_launch_and_one_under_way_are_left_alone(world: World) -> None:
    reached = world.streaming.hold("install")
    under_way = await world.launch()
    await reached.wait()
    young = await a_record(world, timedelta(seconds=5))

    found = await LaunchRecovery(world.db, world.engine).rescue()

    assert found == 0
    assert (await world.now(young)).status is LaunchStatus.QUEUED
    world.streaming.let_go("install")
    await world.until_over(under_way)


async def test_temporal_that_is_away_leaves_them_for_the_next_time(world: World) -> None:
    class Away:
        async def start_launch(self, ticket: LaunchInput) -> None:
            raise UnavailableError("Temporal does not respond")

    launch = await a_record(world, timedelta(minutes=1))

    found = await LaunchRecovery(world.db, Away()).rescue()

    assert (found, (await world.now(launch)).status) == (1, LaunchStatus.QUEUED)


async def test_temporal_looks_for_them_by_its_clock_whoever_asked_it_to(world: World, temporal_address: str) -> None:
    queue = f"rescue-{secrets.token_hex(4)}"
    client = await connect(EngineAddress(temporal_address, "default", queue))
    launch = await a_record(world, timedelta(minutes=1))

    for _ in range(2):
        await ensure_rescue_schedule(client, queue)
    async with build_worker(client, queue, LaunchRecovery(world.db, world.engine)):
        ended = await world.until_over(launch)

    await client.get_schedule_handle(schedule_name(RESCUE, queue)).delete()
    assert ended.status is LaunchStatus.READY
