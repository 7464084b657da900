"""Sums closed days and months, so that a report of a year reads sums instead of intervals.

A rollup is always derived from the intervals, and built again when they change. It is valid from the publication of its
version until a later write changes its period.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from billing.aggregation import Vms, merge_day, split_by_day
from billing.amounts import DAY, midnight, month_start
from billing.rollup_documents import build_documents, find_differences, vms_from
from errors import UnreadableRecordError
from models.database import ASCENDING, Database, Document
from models.rollups import (
    EVERYBODY,
    STATE_ID,
    RolledSpan,
    Rollup,
    RollupKind,
    RollupRow,
    RollupState,
    Span,
    Unit,
    cells_name,
    find_rollup_rows,
)
from models.usage import UsageInterval, UsageRow, find_usage_rows

log = logging.getLogger(__name__)

# A day is summed only so long after its end, when late records have arrived.
SETTLED: Final = timedelta(minutes=30)
_BATCH: Final = 1000
_VMS_BY_HOUR: Final[Document] = {"whose": EVERYBODY, "kind": RollupKind.VM, "unit": Unit.HOUR}
_SHOWN: Final = 10


class Rollups:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def roll_up(self, now: datetime) -> int:
        """Sum every closed day that is not summed, and its month; return the number of days. May be repeated."""
        last = midnight(now - SETTLED)
        state = await self._state_with_first_day()
        first = None if state.first_day is None else midnight(state.first_day)
        if first is None or first >= last:
            return 0
        done = {span.start for span in await self.find_published(Span.DAY, first, last)}
        todo = [day for day in days(first, last) if day not in done]
        if todo:
            await self._build(todo[0], last, state)
        return len(todo)

    async def rebuild(self, now: datetime) -> int:
        """Build everything again from the intervals and return the number of days. Reports continue to work."""
        await self._db.update_many(RolledSpan, {}, {"$set": {"valid": False}})
        await self._db.update_many(RollupState, {"_id": STATE_ID}, {"$set": {"first_day": None}})
        return await self.roll_up(now)

    async def differences(self, day: datetime) -> list[str]:
        """Return which sums of a published day, its own or those in its month, differ from its intervals.

        If there are any, the day is invalidated until it is summed again.
        """
        spans = [
            span
            for key in (_key(Span.DAY, day), _key(Span.MONTH, month_start(day)))
            if (span := await self._db.get_derived(RolledSpan, key)) is not None and span.valid and day < span.end
        ]
        intervals = await find_overlapping(self._db, day, day + DAY, whole=True) if spans else []
        vms = split_by_day(intervals, day, day + DAY)[day]
        different = sorted({name for span in spans for name in await self._find_differences(span, day, vms)})
        if different and all([await self._is_still(span) for span in spans]):
            log.error(
                "sums of a closed day differ from its intervals",
                extra={"day": f"{day:%Y-%m-%d}", "groups": different[:_SHOWN], "count": len(different)},
            )
            await self.invalidate_from(day)
            return different
        return []

    async def invalidate_from(self, moment: datetime) -> None:
        """Invalidate rollups from a moment on, because usage is written into the past.

        Takes part in the writer's transaction, if there is one.
        """
        day = midnight(moment)
        await self._db.upsert(RollupState, {"_id": STATE_ID}, {"$inc": {"late": 1}})
        await self._db.update_many(
            RollupState, {"_id": STATE_ID, "first_day": {"$gt": day}}, {"$set": {"first_day": day}}
        )
        for span, start in ((Span.DAY, day), (Span.MONTH, month_start(day))):
            await self._db.update_many(
                RolledSpan, {"span": span, "start": {"$gte": start}, "valid": True}, {"$set": {"valid": False}}
            )

    async def find_published(self, span: Span, start: datetime, end: datetime) -> list[RolledSpan]:
        """Return the valid spans that begin within a window."""
        within = {"span": span, "start": {"$gte": start, "$lt": end}}
        found, _ = await self._db.find_readable(RolledSpan, within)
        return [each for each in found if each.valid]

    async def first_day(self) -> datetime | None:
        """Return the first day with usage, or None while it is unknown."""
        state = await self._db.get_derived(RollupState, STATE_ID)
        return None if state is None else state.first_day

    async def _build(self, first: datetime, last: datetime, state: RollupState) -> None:
        """Build month by month, so that at most one month of intervals is in memory.

        Intervals that continue into the next month are carried over. `state` was read before any interval.
        """
        carried = await find_overlapping(self._db, first, first + timedelta(milliseconds=1), whole=True)
        while first < last:
            end = min(_next_month(first), last)
            begun = await find_usage_rows(self._db, {"start": {"$gte": first, "$lt": end}}, whole=True)
            intervals = list({interval.id: interval for interval in (*carried, *begun)}.values())
            added = await asyncio.to_thread(split_by_day, intervals, first, end)
            for day, vms in added.items():
                await self._publish(Span.DAY, day, day + DAY, vms, state)
            await self._publish_month(first, end, added, state)
            carried = [interval for interval in intervals if interval.end is None or interval.end > end]
            first = end

    async def _publish_month(
        self, first: datetime, end: datetime, added: dict[datetime, Vms], state: RollupState
    ) -> None:
        """Publish a month. Its days before `first` are taken from their published rollups."""
        month = month_start(first)
        vms: Vms = {}
        before = await self.find_published(Span.DAY, month, first)
        begin = max(month, state.first_day or month)
        if len(before) < (first - begin) // DAY:
            return  # the month's beginning is incomplete: reports read the days
        for span in before:
            rows = await self._rows(span, _VMS_BY_HOUR)
            if sum(row.size for row in rows) != span.cells.get(cells_name(RollupKind.VM, Unit.HOUR), 0):
                return  # rebuilt in between: the process that did so builds the month too
            merge_day(vms, span.start, vms_from(rows))
        for day, of_day in added.items():
            merge_day(vms, day, of_day)
        await self._publish(Span.MONTH, month, end, vms, state)

    async def _publish(self, span: Span, start: datetime, end: datetime, vms: Vms, state: RollupState) -> None:
        """Publish a span, unless usage was written into the past since `state` was read."""
        version = f"{span}:{start:%Y-%m-%d}:{secrets.token_hex(4)}"
        cells = await self._write(span, start, version, vms)
        rolled = RolledSpan(
            id=_key(span, start),
            span=span,
            start=start,
            end=end,
            version=version,
            cells=cells,
            at=datetime.now(UTC),
        )

        async def publish() -> str | None:
            """Publish and return the version that is no longer read.

            Another process may be building the same span, so its version is never returned unless it is known to be
            unused.
            """
            same = {"_id": STATE_ID, "late": state.late}
            if await self._db.update(RollupState, same, {"$inc": {"published": 1}}) is None:
                return version
            former = await self._db.get_derived(RolledSpan, rolled.id)
            if former is None:
                await self._db.replace(rolled)
                return None
            await self._db.replace(rolled.model_copy(update={"former": former.version}))
            return former.former

        # The previous version is kept, because a running report may still read it.
        if (unread := await self._db.transaction(publish)) is not None:
            await self._db.delete(Rollup, {"start": start, "span": span, "version": unread})

    async def _write(self, span: Span, start: datetime, version: str, vms: Vms) -> dict[str, int]:
        """Write the rollups and return the number of cells in those of all users."""
        made = await asyncio.to_thread(lambda: list(build_documents(span, start, version, vms)))
        for at in range(0, len(made), _BATCH):
            await self._db.insert_many(made[at : at + _BATCH])
        cells: Counter[str] = Counter()
        for rollup in made:
            if rollup.whose == EVERYBODY:
                cells[cells_name(rollup.kind, rollup.unit)] += len(rollup.cell)
        return dict(cells)

    async def _rows(self, span: RolledSpan, which: Document | None = None) -> list[RollupRow]:
        found = await find_rollup_rows(self._db, {**(which or {}), "span": span.span, "start": span.start})
        return [row for row in found if row.version == span.version]

    async def _find_differences(self, span: RolledSpan, day: datetime, vms: Vms) -> list[str]:
        """Return the groups of a span with other sums for this day."""
        wanted, day_of_month = vms, None
        if span.span is Span.MONTH:
            wanted, day_of_month = {}, day.day - 1
            merge_day(wanted, day, vms)
        return await asyncio.to_thread(find_differences, span.span, wanted, await self._rows(span), day_of_month)

    async def _is_still(self, span: RolledSpan) -> bool:
        now = await self._db.get_derived(RolledSpan, span.id)
        return now is not None and now.valid and now.version == span.version

    async def _state(self) -> RollupState:
        """Return the state; one that this version cannot read is made again, and nothing that was added up counts."""
        try:
            return await self._db.get(RollupState, STATE_ID) or RollupState(id=STATE_ID)
        except UnreadableRecordError:
            await self._db.update_many(RolledSpan, {}, {"$set": {"valid": False}})
            await self._db.replace(RollupState(id=STATE_ID))
            return RollupState(id=STATE_ID)

    async def _state_with_first_day(self) -> RollupState:
        """Return the state, with the first day set once to the start of the first interval."""
        state = await self._state()
        if state.first_day is not None:
            return state
        oldest = await self._db.aggregate(
            UsageInterval,
            [{"$sort": {"start": ASCENDING}}, {"$limit": 1}, {"$project": {"start": 1}}],
        )
        if not oldest:
            return state
        first: Document = {"$set": {"first_day": midnight(oldest[0]["start"])}, "$setOnInsert": {"published": 0}}
        await self._db.upsert(RollupState, {"_id": STATE_ID, "late": state.late}, first)
        return await self._state()


async def find_overlapping(
    db: Database, start: datetime, end: datetime, user_id: str | None = None, *, whole: bool = False
) -> list[UsageRow]:
    """Return the intervals that touch a window, of one user or of all.

    Open intervals are read first: one that is closed in between is found twice, not missed. `find_usage_rows` explains
    `whole`.
    """
    still_open = await find_usage_rows(db, {**_of(user_id), "end": None}, whole=whole)
    until: Document = {"start": {"$lt": end}} if user_id is None else {}  # the index for one user has only the ends
    ended = await find_usage_rows(db, {**_of(user_id), "end": {"$gt": start}, **until}, whole=whole)
    return list({interval.id: interval for interval in (*still_open, *ended) if interval.start < end}.values())


def _of(user_id: str | None) -> Document:
    return {} if user_id is None else {"user_id": user_id}


def days(first: datetime, last: datetime) -> Iterable[datetime]:
    """Yield the days from `first` up to, but excluding, `last`."""
    while first < last:
        yield first
        first += DAY


def _key(span: Span, start: datetime) -> str:
    return f"{span}:{start:%Y-%m-%d}"


def _next_month(moment: datetime) -> datetime:
    return (month_start(moment) + timedelta(days=32)).replace(day=1)
