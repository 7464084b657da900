"""What was spent: any window, cut by the calendar, by group, running machines included up to now."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from billing.amounts import EXACT, Cell, hours, midnight, milliseconds, use
from billing.rollups import Rollups, groups_of, overlapping
from billing.windows import Granularity, Window
from models.database import Database
from models.rollups import DayRollup, RollupKind
from models.usage import UsageInterval

CURRENCY: Final = "USD"


@dataclass(frozen=True, slots=True)
class Line:
    """One group's part."""

    group: str
    usd: Decimal
    running_hours: float


@dataclass(frozen=True, slots=True)
class Bucket:
    window: Window
    usd: Decimal
    running_hours: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """`total_usd` is the sum of the buckets and of the groups, to the last digit. `forecast_usd` is what the window
    will have cost at its end if what runs now goes on; None for a window that is over or has not begun."""

    window: Window
    total_usd: Decimal
    running_hours: float
    forecast_usd: Decimal | None
    buckets: tuple[Bucket, ...]
    groups: tuple[Line, ...]


class Reports:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._rollups = Rollups(db)

    async def report(
        self,
        window: Window,
        granularity: Granularity = Granularity.DAY,
        group_by: RollupKind = RollupKind.PROVIDER,
        *,
        user_id: str | None = None,
        now: datetime | None = None,
    ) -> Report:
        """Metered costs of one user, or of all. Empty buckets are there, with zeros."""
        now = now or datetime.now(UTC)
        buckets = window.buckets(granularity)
        grid = _Grid(buckets)
        if user_id is None:
            await self._all(window, group_by, grid, now)
        else:
            _meter(await overlapping(self._db, window.start, window.end, {"user_id": user_id}), group_by, grid, now)
        forecast = await self._forecast(window, grid.total_usd(), user_id, now)
        return _report(window, buckets, grid, forecast)

    async def spent(self, window: Window, *, user_id: str | None = None, now: datetime | None = None) -> Report:
        """The window as one sum."""
        return await self.report(window, Granularity.MONTH, user_id=user_id, now=now)

    async def of_vm(self, vm_ids: Iterable[str], now: datetime) -> dict[str, Cell]:
        """What VMs have cost and run so far, in one query."""
        cells: dict[str, Cell] = defaultdict(Cell)
        for interval in await self._db.find(UsageInterval, {"vm_id": {"$in": list(vm_ids)}}):
            cells[interval.vm_id].add(*use(interval, interval.start, now, now))
        return cells

    async def _all(self, window: Window, group_by: RollupKind, grid: _Grid, now: datetime) -> None:
        """Closed days from their rollups, the rest from the intervals."""
        days = await self._rollups.rolled_days(window.start, window.end)
        if days:
            for rollup in await self._rollups.of(group_by, window.start, window.end):
                if rollup.day in days:
                    grid.add_day(rollup)
        for gap in _gaps(window, days):
            _meter(await overlapping(self._db, gap.start, gap.end), group_by, grid, now, gap)

    async def _forecast(self, window: Window, total_usd: Decimal, user_id: str | None, now: datetime) -> Decimal | None:
        if not window.start <= now < window.end:
            return None
        more = {} if user_id is None else {"user_id": user_id}
        rest = Cell()
        for interval in await self._db.find(UsageInterval, {"end": None, **more}):
            rest.add(*use(interval, max(now, interval.start), window.end, window.end))
        return EXACT.add(total_usd, rest.usd)


class _Grid:
    """The cells of a report, by the bucket that a moment falls into."""

    def __init__(self, buckets: list[Window]) -> None:
        self.window = Window(buckets[0].start, buckets[-1].end)
        self._buckets = buckets
        self._starts = [bucket.start for bucket in buckets]
        self.cells: dict[int, dict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))

    def add_day(self, rollup: DayRollup) -> None:
        for cell in rollup.hours:
            index = self._index(rollup.day + timedelta(hours=cell.hour))
            self.cells[index][rollup.group].add(cell.usd_ms, cell.running_ms)

    def add(self, interval: UsageInterval, group: str, window: Window, now: datetime) -> None:
        """Only the buckets that the interval touches are looked at."""
        start, end = max(interval.start, window.start), min(interval.end or now, window.end)
        if end <= start:
            return
        for index in range(self._index(start), self._index(end - timedelta(milliseconds=1)) + 1):
            bucket = self._buckets[index]
            used = use(interval, max(bucket.start, start), min(bucket.end, end), now)
            self.cells[index][group].add(*used)

    def total_usd(self) -> Decimal:
        return _sum(cell.usd for groups in self.cells.values() for cell in groups.values())

    def _index(self, moment: datetime) -> int:
        return bisect_right(self._starts, moment) - 1


def _meter(
    intervals: Iterable[UsageInterval], group_by: RollupKind, grid: _Grid, now: datetime, window: Window | None = None
) -> None:
    for interval in intervals:
        group = dict(groups_of(interval))[group_by]
        grid.add(interval, group, window or grid.window, now)


def _gaps(window: Window, days: set[datetime]) -> list[Window]:
    """The parts of the window that are not rolled up, neighbours joined."""
    gaps: list[Window] = []
    for day in window.buckets(Granularity.DAY):
        if midnight(day.start) in days and milliseconds(day.start, day.end) == 24 * 3_600_000:
            continue
        if gaps and gaps[-1].end == day.start:
            gaps[-1] = Window(gaps[-1].start, day.end)
        else:
            gaps.append(day)
    return gaps


def _report(window: Window, buckets: list[Window], grid: _Grid, forecast: Decimal | None) -> Report:
    made = tuple(_bucket(bucket, grid.cells.get(index, {})) for index, bucket in enumerate(buckets))
    usd: dict[str, Decimal] = defaultdict(Decimal)
    running_ms: dict[str, int] = defaultdict(int)
    for groups in grid.cells.values():
        for group, cell in groups.items():
            usd[group] = EXACT.add(usd[group], cell.usd)
            running_ms[group] += cell.running_ms
    return Report(
        window=window,
        total_usd=_sum(bucket.usd for bucket in made),
        running_hours=hours(sum(running_ms.values())),
        forecast_usd=forecast,
        buckets=made,
        groups=tuple(Line(group, usd[group], hours(running_ms[group])) for group in sorted(usd)),
    )


def _bucket(window: Window, groups: Mapping[str, Cell]) -> Bucket:
    return Bucket(
        window=window,
        usd=_sum(cell.usd for cell in groups.values()),
        running_hours=hours(sum(cell.running_ms for cell in groups.values())),
        lines=tuple(Line(group, groups[group].usd, hours(groups[group].running_ms)) for group in sorted(groups)),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
