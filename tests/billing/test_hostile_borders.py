"""Reports, forecasts and files where borders meet: intervals that begin and end at midnight, at the end of a month, on
a leap day, at the same moment or a millisecond beside it; windows of a second and of a year; any moment as now."""

from __future__ import annotations

import csv
import io
from calendar import monthrange
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.exports import month_as_csv
from billing.reports import Report, Reports
from billing.rollups import Rollups
from billing.windows import Granularity, Window, month_of
from models.catalog import ConsoleType
from models.database import Database
from models.rollups import RolledSpan, Rollup, RollupKind, RollupState
from models.usage import UsageInterval, UsageState
from providers.base import ProviderName
from tests.billing.exact import an_interval, cost, running, utc

_MS, _HOUR, _DAY = timedelta(milliseconds=1), timedelta(hours=1), timedelta(days=1)
_LAST_PLACE = Fraction(1, 10**12)
BORDERS = [utc(2024, 1, 31), utc(2024, 2, 1), utc(2024, 2, 29), utc(2024, 2, 29, 23), utc(2024, 3, 1)]
OFFSETS = [0 * _MS, _MS, -_MS, timedelta(seconds=1), _HOUR, -_HOUR, _DAY - _MS, -_DAY]
LENGTHS = [timedelta(seconds=1), timedelta(seconds=59), _HOUR, _DAY - _MS, _DAY, 29 * _DAY, 31 * _DAY, 366 * _DAY]
PRICES = ["0", "0.45", "0.000001", "99999.999999", "0.333333333333333333333333333333333"]

moments = st.builds(lambda border, offset: border + offset, st.sampled_from(BORDERS), st.sampled_from(OFFSETS))
quiet = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def histories(draw: st.DrawFn, now: datetime) -> list[UsageInterval]:
    """Up to four VMs' lives as the meter writes them, the last interval of some still open."""
    intervals: list[UsageInterval] = []
    for vm in range(draw(st.integers(1, 4))):
        edges: list[datetime] = sorted(
            draw(st.lists(moments, min_size=2, max_size=5))
        )  # two alike are an interval without length
        edges = [edge for edge in edges if edge < now]
        fixed = {
            "user_id": draw(st.sampled_from(["ann", "bob"])),
            "provider": draw(st.sampled_from(ProviderName)),
            "console": draw(st.sampled_from(ConsoleType)),
            "machine_usd_per_hour": draw(st.sampled_from(PRICES)),
            "storage_usd_per_hour": draw(st.sampled_from(PRICES)),
        }
        goes_on = draw(st.sampled_from([True, False]))
        ends: list[datetime | None] = [*edges[1:], *([None] if goes_on else [])]
        for number, (start, end) in enumerate(zip(edges, ends, strict=False), start=1):
            state = draw(st.sampled_from(UsageState))
            intervals.append(an_interval(f"vm-{vm}", number, start, end, state=state, **fixed))
    return intervals


async def written(db: Database, history: list[UsageInterval], rolled_up_at: datetime | None) -> None:
    for model in (UsageInterval, Rollup, RolledSpan, RollupState):
        await db.delete(model, {})
    await db.insert_many(history)
    if rolled_up_at is not None:
        await Rollups(db).roll_up(rolled_up_at)


@pytest.mark.timeout(300)
@given(data=st.data(), now=moments, start=moments, length=st.sampled_from(LENGTHS))
@quiet
async def test_a_window_between_any_two_moments_is_clipped_exactly(
    db: Database, data: st.DataObject, now: datetime, start: datetime, length: timedelta
) -> None:
    history, window = data.draw(histories(now)), Window(start, start + length)
    granularities = list(Granularity)[0 if length <= _DAY else 1 if length <= 31 * _DAY else 2 :]
    granularity, group_by = data.draw(st.sampled_from(granularities)), data.draw(st.sampled_from(RollupKind))
    user_id = data.draw(st.sampled_from([None, "ann"]))
    await written(db, history, data.draw(st.sampled_from([None, now, now - 3 * _DAY])))

    report = await Reports(db).report(window, granularity, group_by, user_id=user_id, now=now)

    mine = [each for each in history if user_id in {None, each.user_id}]
    assert edges_of(report) == by_the_calendar(window, granularity)
    for bucket in report.buckets:
        assert_lines(bucket.window, bucket.lines, mine, group_by, now)
        assert sum(line.usd for line in bucket.lines) == bucket.usd
    assert abs(Fraction(report.total_usd) - cost(mine, window.start, window.end, now)) <= _LAST_PLACE / 2
    assert sum(bucket.usd for bucket in report.buckets) == report.total_usd == sum(line.usd for line in report.groups)
    assert_forecast(report, mine, now)


@pytest.mark.timeout(300)
@given(data=st.data(), now=moments, month=st.sampled_from(BORDERS))
@quiet
async def test_a_month_as_a_file_says_what_its_report_says(
    db: Database, data: st.DataObject, now: datetime, month: datetime
) -> None:
    await written(db, data.draw(histories(now)), data.draw(st.sampled_from([None, now])))
    window = month_of(month)

    text = "".join([piece async for piece in month_as_csv(db, window, now)])

    report = await Reports(db).report(window, Granularity.DAY, RollupKind.VM, now=now)
    told = [(row["day"], row["vm"], Decimal(row["amount"])) for row in csv.DictReader(io.StringIO(text))]
    assert told == [
        (f"{bucket.window.start:%Y-%m-%d}", line.group, line.usd) for bucket in report.buckets for line in bucket.lines
    ]


def edges_of(report: Report) -> list[datetime]:
    assert [bucket.window.end for bucket in report.buckets[:-1]] == [each.window.start for each in report.buckets[1:]]
    return [*(bucket.window.start for bucket in report.buckets), report.buckets[-1].window.end]


def by_the_calendar(window: Window, granularity: Granularity) -> list[datetime]:
    """From the calendar's own border before the window, unit by unit."""
    edge = window.start.replace(minute=0, second=0, microsecond=0)
    if granularity is not Granularity.HOUR:
        edge = edge.replace(hour=0)
    if granularity is Granularity.MONTH:
        edge = edge.replace(day=1)
    inner = []
    while edge < window.end:
        if edge > window.start:
            inner.append(edge)
        edge += {
            Granularity.HOUR: _HOUR,
            Granularity.DAY: _DAY,
            Granularity.MONTH: monthrange(edge.year, edge.month)[1] * _DAY,
        }[granularity]
    return [window.start, *inner, window.end]


def assert_lines(window: Window, lines: object, mine: list[UsageInterval], kind: RollupKind, now: datetime) -> None:
    """Each group of a bucket to the last place, and no group that used nothing."""
    assert isinstance(lines, tuple)
    groups: dict[str, list[UsageInterval]] = {}
    for each in mine:
        groups.setdefault(group_of(each, kind), []).append(each)
    exact = {
        group: (cost(theirs, window.start, window.end, now), running(theirs, window.start, window.end, now))
        for group, theirs in groups.items()
    }
    assert {line.group for line in lines} == {group for group, used in exact.items() if any(used)}
    for line in lines:
        usd, hours = exact[line.group]
        assert abs(Fraction(line.usd) - usd) <= _LAST_PLACE
        assert Fraction(line.running_ms, 3_600_000) == hours


def assert_forecast(report: Report, mine: list[UsageInterval], now: datetime) -> None:
    if not report.window.start <= now < report.window.end:
        assert report.forecast_usd is None
        return
    assert report.forecast_usd is not None
    to_the_end = cost(mine, report.window.start, report.window.end, report.window.end)
    assert abs(Fraction(report.forecast_usd) - to_the_end) <= _LAST_PLACE / 2


def group_of(interval: UsageInterval, kind: RollupKind) -> str:
    return {
        RollupKind.PROVIDER: interval.provider.value,
        RollupKind.CONSOLE: interval.console.value,
        RollupKind.USER: interval.user_id,
        RollupKind.VM: interval.vm_id,
    }[kind]
