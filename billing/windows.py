"""Windows of a report and how they are cut: hours, days, months, by the calendar, UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from errors import InvalidInputError

MAX_DAYS: Final = 366
_LAST_MONTH: Final = date.max.replace(day=1)  # no month begins after it, so that nothing says where it ends


class Granularity(StrEnum):
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`."""

    start: datetime
    end: datetime

    def buckets(self, granularity: Granularity) -> list[Window]:
        """Without gap or overlap, each within one calendar unit; the first and the last are clipped at the borders."""
        edges = [self.start, *self._edges(granularity), self.end]
        return [Window(start, end) for start, end in pairwise(edges)]

    def _edges(self, granularity: Granularity) -> Iterator[datetime]:
        edge = _next(self.start, granularity)
        while edge < self.end:
            yield edge
            edge = _next(edge, granularity)


def window_of(start: date, end: date) -> Window:
    """Whole days, both included. Raises InvalidInputError that names the field."""
    if end < start:
        raise InvalidInputError("end must not be before start", ("end",))
    if (end - start).days + 1 > MAX_DAYS:
        raise InvalidInputError(f"a report covers at most {MAX_DAYS} days", ("end",))
    if end >= _LAST_MONTH:
        raise InvalidInputError("end lies too far in the future", ("end",))
    return Window(_midnight(start), _midnight(end + timedelta(days=1)))


def month_of(now: datetime) -> Window:
    """The whole calendar month of a moment."""
    first = _midnight(now.astimezone(UTC).date().replace(day=1))
    return Window(first, _next(first, Granularity.MONTH))


def day_of(now: datetime) -> Window:
    first = _midnight(now.astimezone(UTC).date())
    return Window(first, first + timedelta(days=1))


def _next(moment: datetime, granularity: Granularity) -> datetime:
    """The next border after a moment."""
    match granularity:
        case Granularity.HOUR:
            return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        case Granularity.DAY:
            return _midnight(moment.date()) + timedelta(days=1)
        case Granularity.MONTH:
            return _midnight((moment.date().replace(day=1) + timedelta(days=32)).replace(day=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
