"""Receipts: one for each play session and each time that a machine was kept, in a window.

A session is a run of intervals in which a machine ran without a stop; its lines are its prices. The amounts are rounded
along the lines as in a report, so that all receipts of a window add up to the report of the same window exactly. The
usage of the warm pool has no receipts: it belongs to no player, and that report leaves it out, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Final

from billing.amounts import EXACT, Rounding, usage_between
from billing.rollups import find_overlapping
from billing.windows import Window
from errors import InvalidInputError
from models.database import Database
from models.usage import WARM_USER, UsageRow, UsageState

MAX_LINES: Final = 20_000


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """A time at one price. `end` is None while it goes on."""

    start: datetime
    end: datetime | None
    usd_per_hour: Decimal
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one machine cost in one state without a break, within the window."""

    vm_id: str
    user_id: str
    provider: str
    console: str
    state: UsageState
    lines: tuple[ReceiptLine, ...]

    @property
    def start(self) -> datetime:
        return self.lines[0].start

    @property
    def end(self) -> datetime | None:
        return self.lines[-1].end

    @property
    def usd(self) -> Decimal:
        total = Decimal(0)
        for line in self.lines:
            total = EXACT.add(total, line.usd)
        return total


@dataclass(frozen=True, slots=True)
class Receipts:
    """The receipts of a window, newest first. `total_usd` is their exact sum."""

    window: Window
    total_usd: Decimal
    receipts: tuple[Receipt, ...]


async def receipts_of(db: Database, window: Window, user_id: str | None, now: datetime | None = None) -> Receipts:
    """Return the receipts of one user, or of all; running machines up to now.

    Raises InvalidInputError if there are more than 20,000 lines.
    """
    end = min(window.end, now or datetime.now(UTC))
    if end <= window.start:
        return Receipts(window, Decimal(0), ())
    overlapping = await find_overlapping(db, window.start, end, user_id)
    intervals = [each for each in overlapping if each.user_id != WARM_USER]
    if len(intervals) > MAX_LINES:
        raise InvalidInputError(
            f"these receipts would have more than {MAX_LINES} lines: request a shorter window or one user", ("end",)
        )
    rounding = Rounding()
    found = [_receipt(run, Window(window.start, end), rounding) for run in _runs(intervals)]
    found.sort(key=attrgetter("start", "vm_id"), reverse=True)
    return Receipts(window, rounding.usd, tuple(found))


def _runs(intervals: Iterable[UsageRow]) -> Iterator[list[UsageRow]]:
    """Yield the intervals of one machine that follow each other in one state."""
    for _, of_vm in groupby(sorted(intervals, key=attrgetter("vm_id", "start")), key=attrgetter("vm_id")):
        run: list[UsageRow] = []
        for interval in of_vm:
            if run and (run[-1].state is not interval.state or run[-1].end != interval.start):
                yield run
                run = []
            run.append(interval)
        yield run


def _receipt(run: list[UsageRow], window: Window, rounding: Rounding) -> Receipt:
    lines = [
        ReceiptLine(
            start=max(interval.start, window.start),
            end=None if interval.end is None else min(interval.end, window.end),
            usd_per_hour=interval.usd_per_hour,
            usd=rounding.part(usage_between(interval, window.start, window.end).usd_ms),
        )
        for interval in run
    ]
    first = run[0]
    return Receipt(first.vm_id, first.user_id, first.provider, first.console, first.state, tuple(lines))
