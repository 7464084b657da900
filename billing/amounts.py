"""What intervals cost, exactly: prices times milliseconds are finite decimals, rounded once, when they are shown.

A report rounds along its parts: each part is the difference of two rounded sums, so that the parts give the total to
the last digit, and the total is the exact one, rounded, however it is cut.
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
    """What was used: dollars per hour times milliseconds, and milliseconds of running."""

    usd_ms: Decimal = Decimal(0)
    running_ms: int = 0

    def add(self, other: Cell) -> None:
        self.usd_ms = EXACT.add(self.usd_ms, other.usd_ms)
        self.running_ms += other.running_ms

    @property
    def usd(self) -> Decimal:
        return rounded(self.usd_ms)


class Rounding:
    """Rounds the parts of a sum one after another, so that they add up to the rounded sum. No part of nothing is
    more than nothing, and none is off by more than one in the last place."""

    def __init__(self) -> None:
        self._usd_ms = Decimal(0)
        self.usd = Decimal(0)  # so far

    def part(self, usd_ms: Decimal) -> Decimal:
        self._usd_ms = EXACT.add(self._usd_ms, usd_ms)
        before = self.usd
        self.usd = EXACT.quantize(EXACT.divide(self._usd_ms, _MS_PER_HOUR), PLACES)  # without a call: lines are many
        return EXACT.subtract(self.usd, before)


def used(interval: Metered, start: datetime, end: datetime) -> Cell:
    """What an interval used within a window, clipped at its borders. One that is open goes on to the window's end."""
    ms = (min(interval.end or end, end) - max(interval.start, start)) // _MS
    if ms <= 0:
        return Cell()
    running_ms = ms if interval.state is UsageState.RUNNING else 0
    return Cell(EXACT.multiply(interval.usd_per_hour, Decimal(ms)), running_ms)


def by_hour(interval: Metered, start: datetime, end: datetime) -> Iterator[tuple[datetime, Cell]]:
    """The same for each hour of the clock that it touches, by the hour's beginning."""
    until = min(interval.end or end, end).astimezone(UTC)
    moment = max(interval.start, start).astimezone(UTC)
    while moment < until:
        hour = moment.replace(minute=0, second=0, microsecond=0)
        yield hour, used(interval, moment, min(hour + HOUR, until))
        moment = hour + HOUR


def rounded(usd_ms: Decimal) -> Decimal:
    """Dollars."""
    return EXACT.quantize(EXACT.divide(usd_ms, _MS_PER_HOUR), PLACES)


def usd_ms_of(usd: Decimal) -> Decimal:
    """Dollars that somebody else counted, as a cell holds them."""
    return EXACT.multiply(usd, Decimal(MS_PER_HOUR))


def total(amounts: Iterable[Decimal]) -> Decimal:
    summed = Decimal(0)
    for amount in amounts:
        summed = EXACT.add(summed, amount)
    return summed


def hours(running_ms: int) -> float:
    return running_ms / MS_PER_HOUR


def tidy(amount: Decimal) -> Decimal:
    """The same amount without zeros at its end, but with cents: 0.45, not 0.450000000000."""
    shortest = EXACT.normalize(amount)
    exponent = shortest.as_tuple().exponent
    return shortest if isinstance(exponent, int) and exponent <= -2 else EXACT.quantize(shortest, _CENT)


def midnight(moment: datetime) -> datetime:
    """The beginning of a moment's day, UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(moment: datetime) -> datetime:
    """The beginning of a moment's month, UTC."""
    return midnight(moment).replace(day=1)
