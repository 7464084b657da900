"""What is promised from our own launches, from few of them, and from none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from launch.playable_time import PUBLIC_FIGURES, PlayableTimes, percentile_90
from models.catalog import PresetName
from models.database import Database
from models.launch_times import LaunchTime, PlayableBasis
from models.launches import Launch, LaunchStatus
from models.vms import VmPlace
from models.warm_machines import WarmStatus
from providers.base import ProviderName
from tests.fleet.warm_pool.pool import a_machine
from tests.world import World

pytestmark = pytest.mark.test_server

DALLAS = (ProviderName.TENSORDOCK, "dallas", PresetName.PREMIUM)


async def took(db: Database, *seconds: float, site: str = "dallas", warm: bool = False, days_ago: int = 1) -> None:
    before = await db.count(LaunchTime, {})
    for number, each in enumerate(seconds, before + 1):
        await db.insert(
            LaunchTime(
                id=str(number),
                provider=ProviderName.TENSORDOCK,
                site_id=site,
                preset=PresetName.PREMIUM,
                warm=warm,
                seconds=each,
                ready_at=datetime.now(UTC) - timedelta(days=days_ago),
            )
        )


async def recorded(world: World, launch: Launch) -> LaunchTime:
    """The record of a launch, which follows its last event."""
    async with asyncio.timeout(20), world.db.watch(LaunchTime, []) as changes:
        while (found := await world.db.get(LaunchTime, launch.id)) is None:
            await changes.try_next()
    return found


@pytest.mark.parametrize("provider", list(ProviderName))
async def test_without_launches_of_our_own_the_published_figures_are_promised_and_named(
    db: Database, provider: ProviderName
) -> None:
    promise = await PlayableTimes(db).expected(provider, "dallas", PresetName.PREMIUM)

    assert promise is not None
    assert (promise.p50_seconds, promise.p90_seconds) == PUBLIC_FIGURES[provider]
    assert (promise.samples, promise.basis, promise.warm) == (0, PlayableBasis.PUBLIC_FIGURES, False)


async def test_of_machines_that_are_there_nothing_is_known_without_launches(db: Database) -> None:
    assert await PlayableTimes(db).expected(*DALLAS, warm=True) is None


async def test_few_launches_change_the_figures_only_where_they_were_slower(db: Database) -> None:
    await took(db, 100, 2000)

    promise = await PlayableTimes(db).expected(*DALLAS)

    assert promise is not None
    assert (promise.p50_seconds, promise.p90_seconds) == (735, 2000)
    assert (promise.samples, promise.basis) == (2, PlayableBasis.PUBLIC_FIGURES)


async def test_where_a_warm_machine_is_ready_its_time_is_promised(db: Database) -> None:
    await took(db, *range(10, 100, 10), warm=True)
    await took(db, *range(110, 200, 10))
    ready, taken = (
        a_machine(status=WarmStatus.READY),
        a_machine(status=WarmStatus.TAKEN, place=VmPlace(site_id="other")),
    )
    await db.insert_many([ready, taken])

    here = await PlayableTimes(db).expected_now(*DALLAS)
    elsewhere = await PlayableTimes(db).expected_now(ProviderName.TENSORDOCK, "other", PresetName.PREMIUM)

    assert here is not None
    assert elsewhere is not None
    assert (here.warm, here.p90_seconds, elsewhere.warm, elsewhere.p90_seconds) == (True, 90, False, 190)


async def test_nine_launches_at_a_site_are_enough_for_it(db: Database) -> None:
    await took(db, *range(10, 100, 10))

    promise = await PlayableTimes(db).expected(*DALLAS)
    elsewhere = await PlayableTimes(db).expected(ProviderName.TENSORDOCK, "chicago", PresetName.PREMIUM)
    other_preset = await PlayableTimes(db).expected(ProviderName.TENSORDOCK, "dallas", PresetName.RETRO)

    assert promise is not None
    assert elsewhere is not None
    assert other_preset is not None
    assert (promise.p50_seconds, promise.p90_seconds, promise.samples) == (50, 90, 9)
    assert [each.basis for each in (promise, elsewhere, other_preset)] == [
        PlayableBasis.SITE,
        PlayableBasis.PROVIDER,
        PlayableBasis.PUBLIC_FIGURES,
    ]


async def test_warm_and_cold_launches_are_told_apart_and_old_ones_forgotten(db: Database) -> None:
    await took(db, *[10.0] * 9, warm=True)
    await took(db, *[5000.0] * 9, days_ago=100)

    warm = await PlayableTimes(db).expected(*DALLAS, warm=True)
    cold = await PlayableTimes(db).expected(*DALLAS)

    assert warm is not None
    assert cold is not None
    assert (warm.p90_seconds, warm.warm) == (10, True)
    assert (cold.basis, cold.samples) == (PlayableBasis.PUBLIC_FIGURES, 0)


@pytest.mark.parametrize(("count", "rank"), [(1, 1), (8, 8), (9, 9), (10, 10), (19, 18), (99, 90), (100, 91)])
def test_the_percentile_leaves_room_for_the_next_one(count: int, rank: int) -> None:
    assert percentile_90(range(1, count + 1)) == rank


async def test_a_launch_records_what_was_promised_and_what_came_of_it(world: World) -> None:
    await took(world.db, *[60.0] * 9)

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert launch.ready_at is not None
    assert launch.promise is not None
    assert (launch.promise.p90_seconds, launch.promise.basis) == (60, PlayableBasis.SITE)
    taken = await recorded(world, launch)
    assert (taken.provider, taken.site_id, taken.preset) == DALLAS
    assert taken.seconds == pytest.approx((launch.ready_at - launch.requested_at).total_seconds(), abs=0.01)
    assert (taken.warm, taken.promised_p90_seconds) == (False, 60)


async def test_a_launch_on_a_machine_that_is_there_is_a_warm_one(world: World) -> None:
    await world.machine()

    launch = await world.until_over(await world.launch())

    taken = await recorded(world, launch)
    assert (taken.warm, taken.promised_p90_seconds, launch.promise) == (True, None, None)


async def test_a_launch_that_failed_is_no_sample(world: World) -> None:
    world.cloud.full = {site.id for site in world.cloud.stock}

    await world.until_over(await world.launch())

    assert await world.db.count(LaunchTime, {}) == 0
