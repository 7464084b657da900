"""Rollups as tables: split where a document would be too large, and held against one another."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from billing.aggregation import split_by_day
from billing.reports import Reports
from billing.rollup_documents import CELLS_PER_DOCUMENT, build_documents, vms_from
from billing.rollups import Rollups
from billing.windows import Granularity, window_of
from models.database import Database
from models.rollups import EVERYBODY, Rollup, RollupKind, Span, Unit, find_rollup_rows
from models.usage import UsageInterval
from tests.billing.exact import an_interval, utc

DAY = utc(2024, 2, 29)
MANY = CELLS_PER_DOCUMENT // 24 + 1  # machines that run all day


async def test_a_table_that_is_too_large_for_one_document_is_split_and_read_as_one(db: Database) -> None:
    intervals = [an_interval(f"{n:06d}", 1, DAY, DAY + timedelta(days=1)) for n in range(MANY)]
    vms = split_by_day(intervals, DAY, DAY + timedelta(days=1))[DAY]

    made = list(build_documents(Span.DAY, DAY, "v", vms))
    await db.insert_many(made)

    by_hour = {"whose": EVERYBODY, "span": Span.DAY, "kind": RollupKind.VM, "unit": Unit.HOUR, "start": DAY}
    rows = await find_rollup_rows(db, by_hour)
    assert len(rows) == 2
    assert len({rollup.id for rollup in made}) == len(made)
    assert vms_from(rows) == vms


async def test_everybodys_tables_say_the_same_by_every_kind_and_in_every_cut(db: Database) -> None:
    intervals = [
        an_interval("1", 1, DAY, DAY + timedelta(hours=2, milliseconds=1)),
        an_interval("2", 1, DAY + timedelta(hours=1), DAY + timedelta(hours=9), user_id="bob"),
    ]
    vms = split_by_day(intervals, DAY, DAY + timedelta(days=1))[DAY]

    made = list(build_documents(Span.DAY, DAY, "v", vms))

    sums = {(each.kind, each.unit): sum(map(Decimal, each.usd_ms)) for each in made if each.whose == EVERYBODY}
    assert len(sums) == 8
    assert set(sums.values()) == {Decimal("0.45") * (10 * 3_600_000 + 1)}
    of_users = {each.whose: each.groups for each in made if each.whose != EVERYBODY}
    assert of_users == {"ann": ["1"], "bob": ["2"]}


async def test_a_month_whose_whole_is_not_the_sum_of_its_days_is_found(db: Database) -> None:
    await db.insert(an_interval("1", 1, DAY, DAY + timedelta(hours=1)))
    rollups, now = Rollups(db), utc(2024, 3, 4, 12)
    await rollups.roll_up(now)
    whole = {"span": Span.MONTH, "unit": Unit.MONTH, "kind": RollupKind.CONSOLE}
    assert await db.update_many(Rollup, whole, {"$set": {"usd_ms": ["1"]}}) == 1

    different = await rollups.differences(DAY)

    assert different == ["CONSOLE:SWITCH"]


async def test_a_users_own_table_that_is_wrong_is_found(db: Database) -> None:
    await db.insert(an_interval("1", 1, DAY, DAY + timedelta(hours=1)))
    rollups = Rollups(db)
    await rollups.roll_up(utc(2024, 3, 4, 12))
    await db.update_many(Rollup, {"span": Span.DAY, "start": DAY, "whose": "ann"}, {"$set": {"users": ["bob"]}})

    assert await rollups.differences(DAY) == ["VM:1"]


async def test_a_month_that_lies_in_the_window_in_part_counts_by_its_days(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2024, 1, 30), utc(2024, 3, 3)))
    now = utc(2024, 3, 4, 12)
    await Rollups(db).roll_up(now)
    await db.delete(UsageInterval, {})  # what is told now is told by the rollups

    report = await Reports(db).report(window_of(date(2024, 1, 31), date(2024, 3, 1)), Granularity.MONTH, now=now)

    assert [bucket.running_hours for bucket in report.buckets] == [24, 29 * 24, 24]


async def test_prices_of_many_digits_are_added_up_to_the_last_one(db: Database) -> None:
    price, storage = Decimal("1.234567890123456789012345678901234"), Decimal("0.000000000000000000000000000000001")
    prices = {"machine_usd_per_hour": price, "storage_usd_per_hour": storage}
    await db.insert(an_interval("1", 1, DAY, DAY + timedelta(hours=1), **prices))
    now = utc(2024, 3, 4, 12)
    window = window_of(date(2024, 2, 29), date(2024, 2, 29))
    before = await Reports(db).report(window, now=now)

    await Rollups(db).roll_up(now)

    assert await Reports(db).report(window, now=now) == before
    (rollup,) = await db.find(Rollup, {"span": Span.DAY, "kind": RollupKind.PROVIDER, "unit": Unit.DAY})
    assert Fraction(rollup.usd_ms[0]) == (Fraction(price) + Fraction(storage)) * 3_600_000
