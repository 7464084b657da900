"""Rollups: what is written late, what is wrong, and what is made anew."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from billing.meter import Meter
from billing.reports import Reports
from billing.rollups import Rollups
from billing.windows import Granularity, window_of
from models.database import Database
from models.rollups import EVERYBODY, RolledSpan, Rollup, RollupKind, Span
from models.usage import UsageState
from tests.billing.exact import an_interval, utc
from tests.gateway import a_vm

NOW = utc(2024, 3, 4, 12)
WEEK = window_of(date(2024, 2, 26), date(2024, 3, 3))


@pytest.fixture
async def rolled(db: Database) -> Rollups:
    await db.insert(an_interval("1", 1, utc(2024, 2, 27), utc(2024, 2, 29)))
    rollups = Rollups(db)
    await rollups.roll_up(NOW)
    return rollups


async def test_a_machine_that_is_ended_days_late_changes_the_closed_days(db: Database) -> None:
    vm = a_vm("1", usd_per_hour=Decimal(1))
    meter, rollups = Meter(db), Rollups(db)
    await meter.record_state(vm, UsageState.RUNNING, utc(2024, 3, 1))
    await rollups.roll_up(NOW)

    await meter.record_state(vm, None, utc(2024, 3, 3))

    window = window_of(date(2024, 3, 1), date(2024, 3, 4))
    report = await Reports(db).report(window, now=NOW)
    assert [bucket.usd for bucket in report.buckets] == [24, 24, 0, 0]
    assert await rollups.roll_up(NOW) == 1
    assert (await Reports(db).report(window, now=NOW)).total_usd == 48


async def test_what_began_before_everything_known_is_in_the_rollups_after_all(db: Database, rolled: Rollups) -> None:
    await Meter(db).record_state(a_vm("2", usd_per_hour=Decimal(1)), UsageState.RUNNING, utc(2024, 2, 26))
    await Meter(db).record_state(a_vm("2", usd_per_hour=Decimal(1)), None, utc(2024, 2, 26, 5))

    again = await rolled.roll_up(NOW)

    assert again == 7
    assert (await Reports(db).report(WEEK, now=NOW)).buckets[0].usd == 5


async def test_a_rollup_that_was_made_while_something_was_written_late_does_not_count(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2024, 2, 27), utc(2024, 2, 29)))
    rollups = LateWriter(db)

    await rollups.roll_up(NOW)

    assert [span for span in await db.find(RolledSpan, {}) if span.valid] == []
    assert (await Reports(db).report(WEEK, now=NOW)).total_usd == 48 * Decimal("0.45") + 1


async def test_sums_that_are_wrong_are_found_reported_and_made_again(
    db: Database, rolled: Rollups, caplog: pytest.LogCaptureFixture
) -> None:
    day = utc(2024, 2, 28)
    await db.update(
        Rollup,
        {"start": day, "span": Span.DAY, "whose": EVERYBODY, "kind": "USER", "unit": "HOUR"},
        {"$set": {"running_ms": [1] * 24}},
    )

    different = await rolled.differences(day)

    assert different == ["USER:ann"]
    assert "sums of a closed day differ from its intervals" in caplog.text
    assert await rolled.differences(day) == []  # they count no more
    assert await rolled.roll_up(NOW) > 0
    assert await rolled.differences(day) == []
    assert (await Reports(db).report(WEEK, now=NOW)).running_hours == 48


async def test_a_sum_that_is_wrong_in_the_month_alone_is_found_as_well(db: Database, rolled: Rollups) -> None:
    await db.update(
        Rollup, {"span": Span.MONTH, "whose": EVERYBODY, "kind": "VM", "unit": "DAY"}, {"$set": {"usd_ms": ["1", "2"]}}
    )

    different = await rolled.differences(utc(2024, 2, 28))

    assert different == ["VM:1"]
    await rolled.roll_up(NOW)
    assert (await Reports(db).report(WEEK, group_by=RollupKind.VM, now=NOW)).total_usd == 48 * Decimal("0.45")


async def test_sums_that_are_right_are_left_alone(db: Database, rolled: Rollups) -> None:
    before = await db.find(RolledSpan, {})

    assert [await rolled.differences(utc(2024, 2, day)) for day in (27, 28, 29)] == [[], [], []]
    assert await db.find(RolledSpan, {}) == before


async def test_a_rebuild_takes_in_whatever_is_in_the_database(db: Database, rolled: Rollups) -> None:
    await db.insert(an_interval("2", 1, utc(2023, 12, 31, 23), utc(2024, 1, 1, 1)))

    days = await rolled.rebuild(NOW)

    year = window_of(date(2023, 12, 1), date(2024, 3, 31))
    assert days == 64
    report = await Reports(db).report(year, Granularity.MONTH, now=NOW)
    assert [bucket.running_hours for bucket in report.buckets] == [1, 1, 48, 0]


async def test_of_a_rollup_that_is_made_again_only_the_version_before_is_kept(db: Database, rolled: Rollups) -> None:
    for _ in range(3):
        await rolled.rebuild(NOW)

    versions = {rollup.version for rollup in await db.find(Rollup, {"start": utc(2024, 2, 27), "span": Span.DAY})}

    assert len(versions) == 2


async def test_what_is_added_up_twice_at_once_has_the_rows_of_the_version_that_counts(
    db: Database, rolled: Rollups
) -> None:
    slow = SlowWriter(db)
    rebuilding = asyncio.create_task(slow.rebuild(NOW))
    await asyncio.wait_for(slow.written.wait(), 10)

    await rolled.roll_up(NOW)  # the schedule comes by, and publishes what the other one has only written
    slow.go_on.set()
    await rebuilding

    report = await Reports(db).report(WEEK, Granularity.HOUR, now=NOW)
    assert (report.running_hours, report.total_usd) == (48, 48 * Decimal("0.45"))
    assert [await rolled.differences(utc(2024, 2, day)) for day in (27, 28)] == [[], []]


async def test_of_a_rollup_that_does_not_count_nothing_is_kept(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2024, 2, 27), utc(2024, 2, 29)))

    await LateWriter(db).roll_up(NOW)

    assert await db.find(Rollup, {}) == []


class SlowWriter(Rollups):
    """Waits, when it has written the first rows and not yet published them."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.written, self.go_on = asyncio.Event(), asyncio.Event()

    async def _write(self, *arguments: object) -> dict[str, int]:
        cells = await super()._write(*arguments)  # type: ignore[arg-type]  # the same, handed on
        self.written.set()
        await self.go_on.wait()
        return cells


class LateWriter(Rollups):
    """Somebody writes into a closed day after its intervals were read."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._database = db
        self._written = False

    async def _publish(self, *arguments: object) -> None:
        if not self._written:
            self._written = True
            interval = an_interval("2", 1, utc(2024, 2, 27), utc(2024, 2, 27, 1), machine_usd_per_hour="0.95")
            await self._database.insert(interval)
            await self.invalidate_from(interval.start)
        await super()._publish(*arguments)  # type: ignore[arg-type]  # handed on as they came
