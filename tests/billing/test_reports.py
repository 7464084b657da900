"""Reports, against an independent computation in fractions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odmantic import Model

from billing.amounts import split_by_hour, usage_between
from billing.reports import Report, Reports
from billing.rollups import Rollups
from billing.windows import Granularity, Window, month_of, window_of
from errors import InvalidInputError
from models.catalog import ConsoleType
from models.database import Database
from models.rollups import RolledSpan, Rollup, RollupKind, RollupState
from models.usage import UsageInterval, UsageState
from providers.base import ProviderName
from tests.billing.exact import an_interval, cost, running, utc
from tests.gateway import a_vm

MODELS: list[type[Model]] = [UsageInterval, Rollup, RolledSpan, RollupState]
NOW = utc(2024, 3, 4, 5, 6, 7)
# Half of the random cases are computed from rollups, half from intervals; a leap day and two month ends are in reach.
FIRST = utc(2024, 1, 30)
_ROUNDING = Fraction(1, 10**9)


@st.composite
def histories(draw: st.DrawFn) -> list[UsageInterval]:
    """Some VMs' lives: intervals that follow one another without gap, the last one perhaps open."""
    intervals: list[UsageInterval] = []
    for vm in range(draw(st.integers(1, 4))):
        moment = FIRST + timedelta(milliseconds=draw(st.integers(0, 34 * 86_400_000)))
        fixed = {
            "user_id": draw(st.sampled_from(["ann", "bob"])),
            "provider": draw(st.sampled_from(ProviderName)),
            "console": draw(st.sampled_from(ConsoleType)),
            "machine_usd_per_hour": Decimal(draw(st.integers(0, 9_999_999))) / 10**6,
            "storage_usd_per_hour": Decimal(draw(st.integers(0, 9_999))) / 10**7,
        }
        lengths = draw(st.lists(st.sampled_from([1, 999, 59_999, 3_600_000, 7_199_999, 86_400_000]), max_size=4))
        for number, length in enumerate(lengths, start=1):
            end = moment + timedelta(milliseconds=length)
            state = draw(st.sampled_from(UsageState))
            intervals.append(an_interval(str(vm), number, moment, end if end <= NOW else None, state=state, **fixed))
            moment = end
            if moment > NOW:
                break
    return intervals


@pytest.mark.timeout(300)
@given(
    history=histories(),
    first=st.sampled_from([0, 1, 2]) | st.integers(0, 34),
    length=st.sampled_from([31, 32, 40]) | st.integers(0, 40),  # often a month with parts of those around it
    granularity=st.sampled_from(Granularity),
    group_by=st.sampled_from(RollupKind),
    user_id=st.sampled_from([None, "ann"]),
    rolled=st.booleans(),
)
@settings(max_examples=60)
async def test_any_history_costs_what_fractions_say_and_its_parts_add_up(
    db: Database,
    history: list[UsageInterval],
    first: int,
    length: int,
    granularity: Granularity,
    group_by: RollupKind,
    user_id: str | None,
    rolled: bool,
) -> None:
    await emptied(db)
    await db.insert_many(history)
    if rolled:
        await Rollups(db).roll_up(NOW - timedelta(days=3))
        await Rollups(db).roll_up(NOW)
    window = Window(FIRST + timedelta(days=first), FIRST + timedelta(days=first + length + 1))

    report = await Reports(db).report(window, granularity, group_by, user_id=user_id, now=NOW)

    mine = [interval for interval in history if user_id in {None, interval.user_id}]
    assert report.total_usd == to_twelve_places(cost(mine, window.start, window.end, NOW))
    assert abs(Fraction(report.running_hours) - running(mine, window.start, window.end, NOW)) < _ROUNDING
    for bucket in report.buckets:
        assert near(bucket.usd, cost(mine, bucket.window.start, bucket.window.end, NOW))
    for line in report.groups:
        theirs = [each for each in mine if group_of(each, group_by) == line.group]
        assert near(line.usd, cost(theirs, window.start, window.end, NOW))
    assert_parts_add_up(report)


@pytest.mark.timeout(300)
@given(history=histories())
@settings(max_examples=15)
async def test_the_total_is_the_same_to_the_last_digit_however_it_is_cut(
    db: Database, history: list[UsageInterval]
) -> None:
    await emptied(db)
    await db.insert_many(history)
    window, reports = window_of(date(2024, 1, 30), date(2024, 3, 4)), Reports(db)

    totals = {
        (await reports.report(window, granularity, group_by, now=NOW)).total_usd
        for granularity in Granularity
        for group_by in RollupKind
    }
    await Rollups(db).roll_up(NOW)
    totals |= {(await reports.report(window, granularity, now=NOW)).total_usd for granularity in Granularity}

    assert len(totals) == 1


@pytest.mark.timeout(300)
@given(
    start_ms=st.integers(0, 3 * 86_400_000),
    length_ms=st.integers(0, 3 * 86_400_000),
    price=st.decimals("0", "99", places=8),
)
def test_an_interval_is_the_sum_of_its_hours(start_ms: int, length_ms: int, price: Decimal) -> None:
    start = FIRST + timedelta(milliseconds=start_ms)
    interval = an_interval("1", 1, start, start + timedelta(milliseconds=length_ms), machine_usd_per_hour=price)

    whole = usage_between(interval, FIRST, NOW)

    by_hours = list(split_by_hour(interval, FIRST, NOW))
    assert whole.usd_ms == sum(cell.usd_ms for _, cell in by_hours)
    assert whole.running_ms == sum(cell.running_ms for _, cell in by_hours)


async def test_use_is_clipped_at_midnight_and_at_the_end_of_the_month(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2023, 2, 28, 23, 30), utc(2023, 3, 1, 0, 45)))

    february = await Reports(db).report(window_of(date(2023, 2, 1), date(2023, 2, 28)), now=NOW)
    march = await Reports(db).report(window_of(date(2023, 3, 1), date(2023, 3, 31)), now=NOW)

    assert (february.total_usd, march.total_usd) == (Decimal("0.225"), Decimal("0.3375"))
    assert (february.running_hours, march.running_hours) == (0.5, 0.75)
    assert (len(february.buckets), len(march.buckets)) == (28, 31)


async def test_a_leap_day_is_a_day_of_its_own(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2024, 2, 28, 12), utc(2024, 3, 1, 12)))

    report = await Reports(db).report(window_of(date(2024, 2, 28), date(2024, 3, 1)), now=NOW)

    assert [bucket.usd for bucket in report.buckets] == [Decimal("5.4"), Decimal("10.8"), Decimal("5.4")]


async def test_months_of_a_year_are_cut_at_their_own_lengths(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2023, 1, 1), utc(2024, 1, 1), machine_usd_per_hour="1"))

    report = await Reports(db).report(window_of(date(2023, 1, 1), date(2023, 12, 31)), Granularity.MONTH, now=NOW)

    days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert [bucket.running_hours / 24 for bucket in report.buckets] == days


async def test_without_use_there_are_zero_buckets_and_not_missing_ones(db: Database) -> None:
    report = await Reports(db).report(window_of(date(2024, 2, 1), date(2024, 2, 29)), Granularity.HOUR, now=NOW)

    assert len(report.buckets) == 29 * 24
    assert {bucket.usd for bucket in report.buckets} == {Decimal(0)}
    assert report.total_usd == 0
    assert report.groups == ()
    assert report.forecast_usd is None


async def test_what_runs_counts_up_to_now_and_is_forecast_to_the_end_of_the_month(db: Database) -> None:
    now = utc(2024, 2, 28, 12)
    await db.insert(an_interval("1", 1, utc(2024, 2, 28, 10), None))

    report = await Reports(db).report(month_of(now), now=now)

    assert report.total_usd == Decimal("0.9")
    assert report.forecast_usd == Decimal("0.9") + 36 * Decimal("0.45")


async def test_the_forecast_knows_when_a_machine_is_going_to_be_stopped(db: Database) -> None:
    now = utc(2026, 5, 30, 12)
    await db.insert(a_vm("1", stops_at=now + timedelta(hours=2), usd_per_hour_stopped=Decimal("0.05")))
    await db.insert(an_interval("1", 1, now - timedelta(hours=2), None))

    report = await Reports(db).report(month_of(now), now=now)

    running, stopped = 4 * Decimal("0.45"), 34 * Decimal("0.05")
    assert report.forecast_usd == running + stopped


async def test_in_the_first_moment_of_a_period_what_runs_is_forecast_too(db: Database) -> None:
    midnight = utc(2024, 2, 29)
    await db.insert(an_interval("1", 1, utc(2024, 2, 28, 10), None))

    report = await Reports(db).report(Window(midnight, midnight + timedelta(days=1)), now=midnight)

    assert (report.total_usd, report.forecast_usd) == (Decimal(0), 24 * Decimal("0.45"))


async def test_closed_days_are_read_from_their_rollups_and_give_the_same(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2024, 2, 27, 10), utc(2024, 3, 2, 10)))
    await db.insert(an_interval("2", 1, utc(2024, 3, 2, 10, 0, 1), None, user_id="bob"))
    window = window_of(date(2024, 2, 26), date(2024, 3, 31))
    before = await Reports(db).report(window, now=NOW)

    rolled = await Rollups(db).roll_up(NOW)

    await db.delete(UsageInterval, {"_id": "1:1"})  # what is left of it is in the rollups alone
    assert rolled == 6
    assert await Reports(db).report(window, now=NOW) == before
    assert await Rollups(db).roll_up(NOW) == 0


def test_a_window_is_refused_by_the_name_of_the_field() -> None:
    with pytest.raises(InvalidInputError, match="before start") as backwards:
        window_of(date(2024, 2, 2), date(2024, 2, 1))
    with pytest.raises(InvalidInputError, match="366 days") as too_long:
        window_of(date(2023, 1, 1), date(2024, 1, 2))

    assert (backwards.value.path, too_long.value.path) == (("end",), ("end",))
    assert window_of(date(2024, 1, 1), date(2024, 12, 31)).end == datetime(2025, 1, 1, tzinfo=UTC)


def test_the_last_month_of_the_calendar_is_refused_and_the_one_before_it_is_cut_by_all() -> None:
    last = window_of(date(9999, 1, 1), date(9999, 11, 30))

    with pytest.raises(InvalidInputError, match="too far") as refused:
        window_of(date(9999, 11, 1), date(9999, 12, 1))

    assert refused.value.path == ("end",)
    assert [len(last.buckets(granularity)) for granularity in Granularity] == [334 * 24, 334, 11]


async def emptied(db: Database) -> None:
    """With the indexes of the service: a wrong answer by index would be a wrong amount."""
    for model in MODELS:
        await db.delete(model, {})


def to_twelve_places(exact: Fraction) -> Decimal:
    return Decimal(round(exact * 10**12)) / 10**12


def near(usd: Decimal, exact: Fraction) -> bool:
    return abs(Fraction(usd) - exact) < _ROUNDING


def assert_parts_add_up(report: Report) -> None:
    assert sum(bucket.usd for bucket in report.buckets) == report.total_usd
    assert sum(line.usd for line in report.groups) == report.total_usd
    for bucket in report.buckets:
        assert sum(line.usd for line in bucket.lines) == bucket.usd
    for group in report.groups:
        lines = [line for bucket in report.buckets for line in bucket.lines if line.group == group.group]
        assert sum(line.usd for line in lines) == group.usd


def group_of(interval: UsageInterval, kind: RollupKind) -> str:
    match kind:
        case RollupKind.PROVIDER:
            return interval.provider
        case RollupKind.CONSOLE:
            return interval.console
        case RollupKind.USER:
            return interval.user_id
    return interval.vm_id
