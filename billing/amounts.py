"""Exact costs of intervals: prices times milliseconds are finite decimals, rounded once, for display.

A report rounds along its parts: each part is the difference of two rounded sums. The parts thus add up to the total to
the last digit, and the total is the exact one, rounded, however it is divided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from models.usage import Metered, UsageState

PLACES: Final = Decimal("1e-12")  # of a dollar
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
MS_PER_HOUR: Final = 3_600_000
# The default context would round sums of many intervals after 28 digits.
EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_MS: Final = timedelta(milliseconds=1)
_MS_PER_HOUR: Final = Decimal(MS_PER_HOUR)
_CENT: Final = Decimal("0.01")


@dataclass(slots=True)
class Cell:
    """Usage: dollars per hour times milliseconds, and milliseconds of running."""

    usd_ms: Decimal = Decimal(0)
    running_ms: int = 0

    def add(self, other: Cell) -> None:
        self.usd_ms = EXACT.add(self.usd_ms, other.usd_ms)
        self.running_ms += other.running_ms

    @property
    def usd(self) -> Decimal:
        return round_usd(self.usd_ms)


class Rounding:
    """Rounds the parts of a sum one by one, so that they add up to the rounded sum.

    A part of zero stays zero, and no part is off by more than one in the last place.
    """

    def __init__(self) -> None:
        self._usd_ms = Decimal(0)
        self.usd = Decimal(0)  # so far

    def part(self, usd_ms: Decimal) -> Decimal:
        self._usd_ms = EXACT.add(self._usd_ms, usd_ms)
        before = self.usd
        self.usd = EXACT.quantize(EXACT.divide(self._usd_ms, _MS_PER_HOUR), PLACES)  # inlined: reports have many lines
        return EXACT.subtract(self.usd, before)


def usage_between(interval: Metered, start: datetime, end: datetime) -> Cell:
    """Return the usage of an interval within a window, clipped at its bounds. An open interval lasts to its end."""
    ms = (min(interval.end or end, end) - max(interval.start, start)) // _MS
    if ms <= 0:
        return Cell()
    running_ms = ms if interval.state is UsageState.RUNNING else 0
    return Cell(EXACT.multiply(interval.usd_per_hour, Decimal(ms)), running_ms)


def split_by_hour(interval: Metered, start: datetime, end: datetime) -> Iterator[tuple[datetime, Cell]]:
    """Yield the usage within each clock hour that the interval touches, with the hour's start."""
    until = min(interval.end or end, end).astimezone(UTC)
    moment = max(interval.start, start).astimezone(UTC)
    while moment < until:
        hour = moment.replace(minute=0, second=0, microsecond=0)
        yield hour, usage_between(interval, moment, min(hour + HOUR, until))
        moment = hour + HOUR


def round_usd(usd_ms: Decimal) -> Decimal:
    """Convert to dollars, rounded to PLACES."""
    return EXACT.quantize(EXACT.divide(usd_ms, _MS_PER_HOUR), PLACES)


def usd_ms_of(usd: Decimal) -> Decimal:
    """Convert dollars to the unit of a cell."""
    return EXACT.multiply(usd, Decimal(MS_PER_HOUR))


def sum_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    summed = Decimal(0)
    for amount in amounts:
        summed = EXACT.add(summed, amount)
    return summed


def to_hours(running_ms: int) -> float:
    """Convert milliseconds to hours."""
    return running_ms / MS_PER_HOUR


def tidy(amount: Decimal) -> Decimal:
    """Remove trailing zeros but keep cents: 0.45, not 0.450000000000."""
    shortest = EXACT.normalize(amount)
    exponent = shortest.as_tuple().exponent
    return shortest if isinstance(exponent, int) and exponent <= -2 else EXACT.quantize(shortest, _CENT)


def midnight(moment: datetime) -> datetime:
    """Return the start of a moment's day in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(moment: datetime) -> datetime:
    """Return the start of a moment's month in UTC."""
    return midnight(moment).replace(day=1)
