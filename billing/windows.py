"""Windows of reports and their division by calendar hours, days and months in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from errors import InvalidInputError

MAX_DAYS: Final = 366
_LAST_MONTH: Final = date.max.replace(day=1)  # no month begins after it, so its end could not be computed


class Granularity(StrEnum):
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class Window:
    """A window from `start` up to, but excluding, `end`."""

    start: datetime
    end: datetime

    def buckets(self, granularity: Granularity) -> list[Window]:
        """Return consecutive windows, each within one calendar unit; the first and the last are clipped."""
        edges = [self.start, *self._edges(granularity), self.end]
        return [Window(start, end) for start, end in pairwise(edges)]

    def _edges(self, granularity: Granularity) -> Iterator[datetime]:
        edge = _next(self.start, granularity)
        while edge < self.end:
            yield edge
            edge = _next(edge, granularity)


def window_of(start: date, end: date) -> Window:
    """Return the window of whole days, both included. Raises InvalidInputError with the path of the field."""
    if end < start:
        raise InvalidInputError("end must not be before start", ("end",))
    if (end - start).days + 1 > MAX_DAYS:
        raise InvalidInputError(f"a report covers at most {MAX_DAYS} days", ("end",))
    if end >= _LAST_MONTH:
        raise InvalidInputError("end is too far in the future", ("end",))
    return Window(_midnight(start), _midnight(end + timedelta(days=1)))


def month_of(now: datetime) -> Window:
    """Return the calendar month of a moment."""
    first = _midnight(now.astimezone(UTC).date().replace(day=1))
    return Window(first, _next(first, Granularity.MONTH))


def day_of(now: datetime) -> Window:
    """Return the calendar day of a moment."""
    first = _midnight(now.astimezone(UTC).date())
    return Window(first, first + timedelta(days=1))


def _next(moment: datetime, granularity: Granularity) -> datetime:
    """Return the next boundary after a moment."""
    match granularity:
        case Granularity.HOUR:
            return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        case Granularity.DAY:
            return _midnight(moment.date()) + timedelta(days=1)
        case Granularity.MONTH:
            return _midnight((moment.date().replace(day=1) + timedelta(days=32)).replace(day=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
