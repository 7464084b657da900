"""The forecast's launches: old ones are read once, new ones in each round."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.warm_pool.forecast import HISTORY, PastLaunches
from models.database import Database
from models.launch_times import LaunchTime
from tests.fleet.warm_pool.pool import Pool

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


async def requested(launches: PastLaunches, now: datetime) -> list[datetime]:
    return sorted(each.requested_at for each in await launches.read(now))


async def test_each_round_reads_only_what_is_new(pool: Pool, db: Database) -> None:
    launches = PastLaunches(db)
    await pool.was_busy(NOON, a_day=1, days=3)
    old = await requested(launches, NOON)
    await db.delete(LaunchTime, {})
    await pool.was_busy(NOON - timedelta(days=7), a_day=1, days=1)  # only a read of everything would find it
    await pool.was_busy(NOON + timedelta(days=1), a_day=1, days=1)  # at ten past noon

    new = await requested(launches, NOON + timedelta(minutes=30))

    assert len(old) == 3
    assert new == [*old, NOON + timedelta(minutes=10)]


async def test_launches_are_forgotten_after_two_weeks_and_counted_once(pool: Pool, db: Database) -> None:
    launches = PastLaunches(db)
    await pool.was_busy(NOON, a_day=1, days=2)
    first, second = await requested(launches, NOON)
    latest = second + timedelta(minutes=11)

    assert await requested(launches, latest) == [first, second]
    assert await requested(launches, first + HISTORY + timedelta(minutes=11)) == [second]
    assert await requested(launches, latest + HISTORY) == []
