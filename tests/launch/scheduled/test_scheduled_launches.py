"""Planned play: the launch is requested in time, once, whatever dies, and not at all if it was cancelled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from errors import IdempotencyKeyReusedError, InvalidInputError, InvalidStateError, NotFoundError, SpendingLimitError
from launch.orders import LaunchOrder
from launch.scheduled.messages import StartRound
from launch.scheduled.service import PlanRequest, ScheduledLaunches
from launch.scheduled.starting import StartingScheduled
from models.api_keys import ApiKey
from models.audit import AuditEntry
from models.launches import Launch, LaunchStatus, new_id
from models.limits import LimitPeriod, SpendingLimit
from models.roles import Role
from models.scheduled_launches import ScheduledLaunch, ScheduledLaunchStatus
from models.vms import Vm
from placement.geocoding import Geocoder
from placement.ranking import Placements
from tests.fleet.warm_pool.pool import DiedError
from tests.world import World

# Without launches of our own, the published 90th percentile: half an hour.
LEAD = timedelta(minutes=30)


class DyingLaunches:
    """Requests launches; the worker dies right after the first one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dies = True

    async def request(self, order: LaunchOrder) -> Launch:
        launch = await self._world.launches.request(order)
        if self._dies:
            self._dies = False
            raise DiedError
        return launch


def starting(world: World, launches: DyingLaunches | None = None) -> StartingScheduled:
    placements = Placements(world.db, world.registry, Geocoder(world.db, online=False))
    return StartingScheduled(world.db, launches or world.launches, placements)


async def plan(world: World, at: datetime, **changes: object) -> ScheduledLaunch:
    wanted = PlanRequest(world.order(**changes), at)
    return await ScheduledLaunches(world.db, world.launches).schedule(wanted, new_id())


async def now(world: World, planned: ScheduledLaunch) -> ScheduledLaunch:
    found = await world.db.get(ScheduledLaunch, planned.id)
    assert found is not None
    return found


async def test_a_planned_launch_begins_early_enough_and_not_earlier(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(hours=2))

    early = await starting(world).start_due_by(lambda: planned.at - LEAD - timedelta(seconds=1))
    in_time = await starting(world).start_due_by(lambda: planned.at - LEAD)

    started = await now(world, planned)
    assert (early, in_time, started.status) == (0, 1, ScheduledLaunchStatus.STARTED)
    launch = await world.db.get(Launch, planned.launch_id)
    assert launch is not None
    assert (started.started_launch_id, launch.user_id, launch.play_at) == (launch.id, "player-1", planned.at)
    (entry,) = await world.db.find(AuditEntry, {"action": "startScheduledLaunch"})
    assert entry.subject_id == planned.id


async def test_its_machine_waits_for_the_player_and_its_session_begins_then(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=20))

    await starting(world).start_due(StartRound())
    launch = await world.until_over(await world.now((await world.db.find(Launch, {}))[0]))

    vm = await world.vm(launch)
    assert (launch.status, vm.planned_for) == (LaunchStatus.READY, planned.at)
    assert vm.stops_at == planned.at + timedelta(hours=vm.max_session_hours)


async def test_a_machine_that_was_planned_is_not_idle_before_its_time(world: World) -> None:
    vm = await world.machine()
    ago, ahead = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)

    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"planned_for": ahead, "last_activity_at": ago}})
    looks = len(world.streaming.readings)
    async with asyncio.timeout(20):
        while len(world.streaming.readings) < looks + 3:
            await world.streaming.reached("activity")
            await asyncio.sleep(0)

    assert (await world.again(vm)).status == "RUNNING"


async def test_two_workers_request_one_launch(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))

    await asyncio.gather(*(starting(world).start_due(StartRound()) for _ in range(4)))

    assert [launch.id for launch in await world.db.find(Launch, {})] == [planned.launch_id]


async def test_a_worker_that_dies_after_the_request_does_not_launch_twice(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    launches = DyingLaunches(world)
    with pytest.raises(DiedError):
        await starting(world, launches).start_due(StartRound())
    assert (await now(world, planned)).status is ScheduledLaunchStatus.STARTING

    await starting(world, launches).start_due(StartRound())

    assert (await now(world, planned)).status is ScheduledLaunchStatus.STARTED
    assert await world.db.count(Launch, {}) == 1


async def test_a_cancelled_plan_launches_nothing(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    plans = ScheduledLaunches(world.db, world.launches)

    cancelled = await plans.cancel(planned)
    again = await plans.cancel(planned)
    await starting(world).start_due(StartRound())

    assert (cancelled.status, again.status) == (ScheduledLaunchStatus.CANCELLED,) * 2
    assert await world.db.count(Launch, {}) == 0


async def test_a_plan_that_has_begun_cannot_be_cancelled(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    await starting(world).start_due(StartRound())

    with pytest.raises(InvalidStateError, match="STARTED"):
        await ScheduledLaunches(world.db, world.launches).cancel(planned)


async def test_a_plan_without_a_machine_is_tried_until_its_time_and_then_fails(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    world.cloud.stock.clear()

    await starting(world).start_due_by(lambda: planned.at - timedelta(minutes=1))
    before = await now(world, planned)
    await starting(world).start_due_by(lambda: planned.at)
    after = await now(world, planned)

    assert (before.status, after.status) == (ScheduledLaunchStatus.PLANNED, ScheduledLaunchStatus.FAILED)
    assert "no site has a machine" in (after.failure or "")
    assert await world.db.count(Launch, {}) == 0


@pytest.mark.parametrize(("minutes", "status"), [(9, "STARTED"), (11, "FAILED")])
async def test_a_plan_that_was_missed_by_more_than_ten_minutes_fails_and_rents_nothing(
    world: World, minutes: int, status: str
) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))

    await starting(world).start_due_by(lambda: planned.at + timedelta(minutes=minutes))

    ended = await now(world, planned)
    assert (ended.status, await world.db.count(Launch, {})) == (status, int(status == "STARTED"))
    assert ("could not be requested in time" in (ended.failure or "")) is (status == "FAILED")


async def test_a_worker_that_was_paused_in_the_middle_of_a_round_rents_nothing_late(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    moments = iter([planned.at, *[planned.at + timedelta(hours=8)] * 10])

    await starting(world).start_due_by(lambda: next(moments))

    assert (await now(world, planned)).status is ScheduledLaunchStatus.FAILED
    assert await world.db.count(Launch, {}) == 0


async def test_a_launch_that_was_requested_before_its_worker_died_is_found_however_late(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    launches = DyingLaunches(world)
    with pytest.raises(DiedError):
        await starting(world, launches).start_due(StartRound())

    await starting(world, launches).start_due_by(lambda: planned.at + timedelta(hours=8))

    assert (await now(world, planned)).started_launch_id == planned.launch_id
    assert await world.db.count(Launch, {}) == 1


async def test_a_plan_that_a_dead_worker_had_claimed_fails_when_it_is_late(world: World) -> None:
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5))
    await world.db.update(ScheduledLaunch, {"_id": planned.id}, {"$set": {"status": ScheduledLaunchStatus.STARTING}})

    await starting(world).start_due_by(lambda: planned.at + timedelta(hours=8))

    assert (await now(world, planned)).status is ScheduledLaunchStatus.FAILED
    assert await world.db.count(Launch, {}) == 0


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ({}, ScheduledLaunchStatus.STARTED),
        ({"revoked_at": datetime(2026, 1, 2, tzinfo=UTC)}, ScheduledLaunchStatus.FAILED),
        ({"expires_at": datetime(2026, 1, 2, tzinfo=UTC)}, ScheduledLaunchStatus.FAILED),
        (None, ScheduledLaunchStatus.FAILED),
    ],
)
async def test_a_plan_of_an_api_key_starts_only_while_the_key_is_valid(
    world: World, key: dict[str, Any] | None, status: ScheduledLaunchStatus
) -> None:
    if key is not None:
        made: dict[str, Any] = {"name": "bot", "role": Role.SERVICE, "digest": "0" * 64, "created_by": "olga"}
        await world.db.insert(ApiKey(id="0123456789abcdef", created_at=datetime(2026, 1, 1, tzinfo=UTC), **made, **key))
    planned = await plan(world, datetime.now(UTC) + timedelta(minutes=5), caller_id="key-0123456789abcdef")

    await starting(world).start_due(StartRound())

    ended = await now(world, planned)
    started = status is ScheduledLaunchStatus.STARTED
    assert (ended.status, await world.db.count(Launch, {})) == (status, int(started))
    assert ended.failure == (None if started else "the API key that planned it was revoked or has expired")


@pytest.mark.parametrize("ahead", [timedelta(seconds=-1), timedelta(days=30, minutes=1)])
async def test_a_time_in_the_past_or_too_far_away_is_refused(world: World, ahead: timedelta) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await plan(world, datetime.now(UTC) + ahead)

    assert refused.value.path == ("at",)
    assert await world.db.count(ScheduledLaunch, {}) == 0


async def test_what_would_refuse_a_launch_refuses_its_plan(world: World) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(NotFoundError):
        await plan(world, at, game_id="unknown-game")
    vm = await world.machine()
    limit = SpendingLimit(
        id="DAILY:", period=LimitPeriod.DAILY, usd=Decimal("1e-12"), hard=True, set_at=datetime.now(UTC)
    )
    await world.db.insert(limit)
    assert vm.usd_per_hour > 0

    with pytest.raises(SpendingLimitError):
        await plan(world, at)

    assert await world.db.count(ScheduledLaunch, {}) == 0


async def test_the_same_key_plans_once_and_another_plan_with_it_is_refused(world: World) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)

    first = await plan(world, at, idempotency_key="k")
    again = await plan(world, at, idempotency_key="k")

    assert first.id == again.id
    with pytest.raises(IdempotencyKeyReusedError):
        await plan(world, at + timedelta(hours=1), idempotency_key="k")


async def test_a_player_plans_at_most_twenty(world: World) -> None:
    first = await plan(world, datetime.now(UTC) + timedelta(hours=1))
    more = [first.model_copy(update={"id": new_id(), "idempotency_key": new_id()}) for _ in range(19)]
    await world.db.insert_many(more)

    with pytest.raises(InvalidInputError, match="at most 20"):
        await plan(world, datetime.now(UTC) + timedelta(hours=1))


async def test_twenty_is_the_limit_for_requests_at_the_same_time_too(world: World) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    first = await plan(world, at)
    more = [first.model_copy(update={"id": new_id(), "idempotency_key": new_id()}) for _ in range(17)]
    await world.db.insert_many(more)

    ended = await asyncio.gather(*(plan(world, at) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(each, ScheduledLaunch) for each in ended) == 2
    assert sum(isinstance(each, InvalidInputError) for each in ended) == 4
    assert await world.db.count(ScheduledLaunch, {}) == 20
