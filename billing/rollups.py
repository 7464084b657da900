"""Adding up closed days, so that a year's report reads a day's sums and not a day's intervals.

A rollup is derived and never counted along: it is made from the intervals, and made again when they change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from billing.amounts import Cell, midnight, use
from models.database import Database, Document
from models.rollups import DayRollup, HourCell, RolledDay, RollupKind
from models.usage import UsageInterval

_HOURS: Final = 24
# A day is rolled up only this long after its end, when nobody writes into it any more.
_SETTLED: Final = timedelta(minutes=30)

Cells = dict[tuple[RollupKind, str], dict[int, Cell]]


class Rollups:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def roll_up(self, now: datetime, days: int = 400) -> int:
        """Roll up every closed day of the last `days` that is not, and say how many that were. May be repeated."""
        last = midnight(now - _SETTLED)
        first = await self._first_day(last - timedelta(days=days))
        done = set() if first is None else {each.id for each in await self._rolled(first, last)}
        todo = [] if first is None else [day for day in _days(first, last) if day not in done]
        for day in todo:
            await self.rebuild(day)
        return len(todo)

    async def rebuild(self, day: datetime) -> int:
        """Make a day's rollups anew from its intervals; returns how many intervals took part.

        The day does not count as rolled up meanwhile: reports then read its intervals.
        """
        await self._db.delete(RolledDay, {"_id": day})
        await self._db.delete(DayRollup, {"day": day})
        intervals = await self._intervals(day, day + timedelta(days=1))
        await self._db.insert_many([_document(day, key, hours) for key, hours in _cells(intervals, day).items()])
        await self._db.replace(RolledDay(id=day, at=datetime.now(UTC), intervals=len(intervals)))
        return len(intervals)

    async def differences(self, day: datetime) -> list[str]:
        """Which rollups of a day are not what its intervals say: empty when all is well."""
        intervals = await self._intervals(day, day + timedelta(days=1))
        expected = {rollup.id: rollup for rollup in (_document(day, *item) for item in _cells(intervals, day).items())}
        found = {rollup.id: rollup for rollup in await self._db.find(DayRollup, {"day": day})}
        return sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))

    async def forget_from(self, moment: datetime) -> None:
        """Something was written into the past: the days from then on are rolled up again."""
        await self._db.delete(RolledDay, {"_id": {"$gte": midnight(moment)}})

    async def rolled_days(self, start: datetime, end: datetime) -> set[datetime]:
        """The days within the window that are rolled up."""
        return {each.id for each in await self._rolled(start, end)}

    async def of(self, kind: RollupKind, start: datetime, end: datetime) -> list[DayRollup]:
        return await self._db.find(DayRollup, {"kind": kind, "day": {"$gte": start, "$lt": end}})

    async def _rolled(self, start: datetime, end: datetime) -> list[RolledDay]:
        return await self._db.find(RolledDay, {"_id": {"$gte": start, "$lt": end}})

    async def _first_day(self, earliest: datetime) -> datetime | None:
        oldest = await self._db.find(UsageInterval, {}, sort=[("start", 1)], limit=1)
        return max(earliest, midnight(oldest[0].start)) if oldest else None

    async def _intervals(self, start: datetime, end: datetime) -> list[UsageInterval]:
        return await overlapping(self._db, start, end)


async def overlapping(
    db: Database, start: datetime, end: datetime, more: Document | None = None
) -> list[UsageInterval]:
    """The intervals that touch a window: those that ended within or after it, and those that are open."""
    ended = await db.find(UsageInterval, {"end": {"$gt": start}, "start": {"$lt": end}, **(more or {})})
    still_open = await db.find(UsageInterval, {"end": None, "start": {"$lt": end}, **(more or {})})
    return [*ended, *still_open]


def groups_of(interval: UsageInterval) -> Iterable[tuple[RollupKind, str]]:
    yield RollupKind.PROVIDER, interval.provider.value
    yield RollupKind.CONSOLE, interval.console.value
    yield RollupKind.USER, interval.user_id
    yield RollupKind.VM, interval.vm_id


def _cells(intervals: Sequence[UsageInterval], day: datetime) -> Cells:
    cells: Cells = defaultdict(lambda: defaultdict(Cell))
    end = day + timedelta(days=1)
    for interval in intervals:
        first = max(0, (interval.start - day) // timedelta(hours=1))
        last = _HOURS if interval.end is None else min(_HOURS, -(-(interval.end - day) // timedelta(hours=1)))
        for hour in range(first, last):
            start = day + timedelta(hours=hour)
            usd_ms, running_ms = use(interval, start, start + timedelta(hours=1), end)
            for key in groups_of(interval):
                cells[key][hour].add(usd_ms, running_ms)
    return cells


def _document(day: datetime, key: tuple[RollupKind, str], hours: dict[int, Cell]) -> DayRollup:
    kind, group = key
    return DayRollup(
        id=f"{day:%Y-%m-%d}:{kind}:{group}",
        day=day,
        kind=kind,
        group=group,
        hours=[
            HourCell(hour=hour, usd_ms=cell.usd_ms, running_ms=cell.running_ms)
            for hour, cell in sorted(hours.items())
            if cell.usd_ms != Decimal(0) or cell.running_ms
        ],
    )


def _days(first: datetime, last: datetime) -> Iterable[datetime]:
    while first < last:
        yield first
        first += timedelta(days=1)
