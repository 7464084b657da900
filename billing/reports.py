"""Cost reports: any window by calendar units and groups, including running machines up to now."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto
from itertools import groupby
from operator import attrgetter
from typing import Final

from billing.aggregation import group_of, is_warm
from billing.amounts import DAY, EXACT, Cell, Rounding, round_usd, split_by_hour, sum_exactly, to_hours, usage_between
from billing.coverage import Coverage
from billing.report_grid import Grid, put
from billing.rollups import Rollups, find_overlapping
from billing.windows import Granularity, Window
from errors import InvalidInputError, UnreadableRecordError
from models.database import Database, Document
from models.rollups import (
    EVERYBODY,
    UNITS,
    RolledSpan,
    RollupKind,
    RollupRow,
    Span,
    Unit,
    cells_name,
    find_rollup_rows,
)
from models.usage import WARM, WARM_PREFIX, WARM_USER, UsageRow, UsageState
from models.vms import Vm

log = logging.getLogger(__name__)

CURRENCY: Final = "USD"
_STOP: Final = frozenset({"id", "stops_at", "usd_per_hour_stopped"})  # columns of VMs
MAX_LINES: Final = 100_000  # of a report, and of the sums that it is built from


class WarmUsage(Enum):
    """How a report shows the usage of the warm pool."""

    AS_GROUP = auto()  # a group of its own
    BY_PROVIDER = auto()  # within its provider
    LEFT_OUT = auto()

    def group(self, name: str, kind: RollupKind) -> str | None:
        """Return the group that a name in reports of this kind belongs to; None if it is left out."""
        if not is_warm(name, kind):
            return name
        match self:
            case WarmUsage.AS_GROUP:
                # A user's name is free text, so that the pool keeps its reserved name among users.
                return name if kind is RollupKind.USER else WARM
            case WarmUsage.BY_PROVIDER:
                return name.removeprefix(WARM_PREFIX)
            case WarmUsage.LEFT_OUT:
                return None


@dataclass(frozen=True, slots=True)
class Line:
    """One group's share."""

    group: str
    usd: Decimal
    running_ms: int

    @property
    def running_hours(self) -> float:
        return to_hours(self.running_ms)


@dataclass(frozen=True, slots=True)
class Bucket:
    window: Window
    usd: Decimal
    running_ms: int
    lines: tuple[Line, ...]

    @property
    def running_hours(self) -> float:
        return to_hours(self.running_ms)


@dataclass(frozen=True, slots=True)
class Report:
    """A report. `total_usd` is the exact sum of the buckets and of the groups.

    `forecast_usd` is the expected cost at the window's end if running machines continue until they are due to stop;
    None for a window that is over or has not begun. `as_of` is the time up to which data is known.
    """

    window: Window
    total_usd: Decimal
    running_ms: int
    forecast_usd: Decimal | None
    buckets: tuple[Bucket, ...]
    groups: tuple[Line, ...]
    as_of: datetime | None = None

    @property
    def running_hours(self) -> float:
        return to_hours(self.running_ms)

    @property
    def known_until(self) -> datetime | None:
        """Return the time up to which the amounts are complete."""
        return None if self.as_of is None else min(self.as_of, self.window.end)


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """A query of the rollups."""

    window: Window
    granularity: Granularity
    group_by: RollupKind
    user_id: str | None
    warm: WarmUsage

    def unit(self, span: RolledSpan) -> Unit:
        """Return the coarsest unit that suffices."""
        finer, whole = UNITS[span.span]
        fits = self.window.start <= span.start and span.end <= self.window.end
        coarse = self.granularity is Granularity.MONTH or (self.granularity.value == whole.value)
        return whole if self.user_id is None and fits and coarse else finer

    def check_length(self, spans: Iterable[RolledSpan], unit: Unit) -> None:
        """Raise InvalidInputError before reading if each cell becomes a line and there are too many."""
        if self.user_id is not None or unit.value != self.granularity.value:
            return
        if sum(span.cells.get(cells_name(self.group_by, unit), 0) for span in spans) > MAX_LINES:
            raise _too_long()

    def query(self, spans: Iterable[RolledSpan], unit: Unit) -> Document:
        """Return the query, which uses a whole index with the range as its last key."""
        starts = [span.start for span in spans]
        return {
            "whose": EVERYBODY if self.user_id is None else self.user_id,
            "span": next(iter(spans)).span,
            "kind": self.group_by if self.user_id is None else RollupKind.VM,
            "unit": unit,
            "start": {"$gte": min(starts), "$lt": max(starts) + DAY},
        }


class Reports:
    """Reports of metered costs."""

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
        warm: WarmUsage = WarmUsage.AS_GROUP,
    ) -> Report:
        """Return the report of one user, or of all.

        Empty buckets are included with zeros. Raises InvalidInputError if it would be too long.
        """
        now = now or datetime.now(UTC)
        grid, coverage = await self._from_rollups(ReportQuery(window, granularity, group_by, user_id, warm))
        still_open: dict[str, UsageRow] = {}
        for gap in coverage.gaps():
            found = await self._intervals(gap, user_id, now)
            if warm is WarmUsage.LEFT_OUT:
                found = [each for each in found if each.user_id != WARM_USER]
            until = Window(gap.start, max(gap.start, min(gap.end, now)))
            await asyncio.to_thread(_add_uses, grid, found, until, group_by, warm)
            still_open |= {interval.id: interval for interval in found if interval.end is None}
        if grid.size > MAX_LINES:
            raise _too_long()
        stops = await self._stops(window, still_open.values(), now)
        forecast = _forecast(window, grid, still_open.values(), now, stops)
        return await asyncio.to_thread(report_of, window, grid, forecast, min(now, window.end))

    async def spent(self, window: Window, *, user_id: str | None = None, now: datetime | None = None) -> Report:
        """Return the window as a single sum where possible."""
        return await self.report(window, Granularity.MONTH, user_id=user_id, now=now)

    async def _from_rollups(self, asked: ReportQuery) -> tuple[Grid, Coverage]:
        """Return what rollups say, and of which part of the window: of nothing when one of them cannot be read."""

        def empty() -> Grid:
            return Grid(asked.window.buckets(asked.granularity))

        grid, coverage = await asyncio.to_thread(empty), await self._coverage(asked.window, asked.granularity)
        try:
            for span in Span:
                await self._add_rollups(grid, asked, coverage.of(span))
        except UnreadableRecordError as error:
            log.error("a report is added up from intervals", extra={"why": error.message})
            return await asyncio.to_thread(lambda: Grid(asked.window.buckets(asked.granularity))), Coverage(
                asked.window
            )
        return grid, coverage

    async def _coverage(self, window: Window, granularity: Granularity) -> Coverage:
        """Determine which part of the window rollups cover: months where their days suffice, else days."""
        coverage = Coverage(window)
        if granularity is not Granularity.HOUR:
            coverage.add(await self._rollups.find_published(Span.MONTH, *coverage.months()))
        for gap in coverage.gaps():
            coverage.add(await self._rollups.find_published(Span.DAY, gap.start, gap.end))
        return coverage

    async def _add_rollups(self, grid: Grid, asked: ReportQuery, spans: Mapping[str, RolledSpan]) -> None:
        in_order = sorted(spans.values(), key=attrgetter("start"))
        for unit, run in groupby(in_order, key=asked.unit):
            alike = {span.version: span for span in run}
            asked.check_length(alike.values(), unit)
            rows = await find_rollup_rows(self._db, asked.query(alike.values(), unit))
            await asyncio.to_thread(
                _add_rows, grid, [row for row in rows if row.version in alike], asked.group_by, asked.warm
            )

    async def _stops(self, window: Window, still_open: Iterable[UsageRow], now: datetime) -> dict[str, Vm]:
        """Return the running machines that are due to stop before the window ends, by id."""
        running = [each.vm_id for each in still_open if each.state is UsageState.RUNNING]
        if not running or not window.start <= now < window.end:
            return {}
        vms, _ = await self._db.find_readable(Vm, {"_id": {"$in": running}}, columns=_STOP)
        return {vm.id: vm for vm in vms if vm.stops_at is not None and vm.stops_at < window.end}

    async def _intervals(self, gap: Window, user_id: str | None, now: datetime) -> list[UsageRow]:
        end = min(gap.end, now)
        return [] if end < gap.start else await find_overlapping(self._db, gap.start, end, user_id)


def _add_uses(grid: Grid, intervals: Iterable[UsageRow], window: Window, group_by: RollupKind, warm: WarmUsage) -> None:
    for interval in intervals:
        group = warm.group(group_of(interval, group_by), group_by)
        if group is None:
            continue
        for hour, cell in split_by_hour(interval, window.start, window.end):
            grid.add(max(hour, window.start), group, cell)


def _add_rows(grid: Grid, rows: Iterable[RollupRow], group_by: RollupKind, warm: WarmUsage) -> None:
    for row in rows:
        _add_row(grid, row, group_by, warm)


def _add_row(grid: Grid, row: RollupRow, group_by: RollupKind, warm: WarmUsage) -> None:
    buckets = [grid.bucket_of(moment) for moment in row.moments()]
    names = [warm.group(name, group_by) for name in row.names[group_by]]
    for group, at, usd_ms, running_ms in row.cells():
        bucket, name = buckets[at], names[group]
        if bucket is not None and name is not None:
            put(bucket, name, Cell(usd_ms, running_ms))


def _forecast(
    window: Window, grid: Grid, still_open: Iterable[UsageRow], now: datetime, stops: Mapping[str, Vm]
) -> Decimal | None:
    """Return the sum at the window's end. Running machines continue until `stops_at` and are stopped afterwards."""
    if not window.start <= now < window.end:
        return None
    ahead = [part for interval in still_open for part in _ahead(interval, now, stops.get(interval.vm_id))]
    rest = sum_exactly(usage_between(part, now, window.end).usd_ms for part in ahead)
    return round_usd(EXACT.add(grid.usd_ms(), rest))


def _ahead(interval: UsageRow, now: datetime, stopping: Vm | None) -> list[UsageRow]:
    """Return the expected continuation of an open interval."""
    if stopping is None or stopping.stops_at is None or interval.state is not UsageState.RUNNING:
        return [interval]
    stop = max(now, stopping.stops_at)
    stopped = replace(interval, start=stop, state=UsageState.STOPPED, usd_per_hour=stopping.usd_per_hour_stopped)
    return [replace(interval, end=stop), stopped]


def report_of(window: Window, grid: Grid, forecast_usd: Decimal | None, as_of: datetime | None) -> Report:
    """Build the report from the grid, rounding along the lines."""
    rounding = Rounding()
    buckets = tuple([_bucket(bucket, groups, rounding) for bucket, groups in grid.buckets()])
    return Report(
        window=window,
        total_usd=rounding.usd,
        running_ms=sum(bucket.running_ms for bucket in buckets),
        forecast_usd=forecast_usd,
        buckets=buckets,
        groups=tuple(_sum_groups(buckets)),
        as_of=as_of,
    )


def _bucket(window: Window, groups: Iterable[tuple[str, Cell]], rounding: Rounding) -> Bucket:
    before = rounding.usd
    lines = tuple([Line(group, rounding.part(cell.usd_ms), cell.running_ms) for group, cell in groups])
    return Bucket(window, EXACT.subtract(rounding.usd, before), sum([line.running_ms for line in lines]), lines)


def _sum_groups(buckets: Iterable[Bucket]) -> Iterator[Line]:
    """Yield one line for each group."""
    usd: dict[str, Decimal] = defaultdict(Decimal)
    running_ms: dict[str, int] = defaultdict(int)
    for bucket in buckets:
        for line in bucket.lines:
            usd[line.group] = EXACT.add(usd[line.group], line.usd)
            running_ms[line.group] += line.running_ms
    yield from (Line(group, usd[group], running_ms[group]) for group in sorted(usd))


def _too_long() -> InvalidInputError:
    return InvalidInputError(
        f"this report would have more than {MAX_LINES} lines: request a shorter window or larger groups", ("groupBy",)
    )
