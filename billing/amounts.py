"""What intervals cost, exactly: prices times milliseconds are whole sums of decimals, and are rounded once, at the end.

The smallest cell of a report (one group in one bucket) is rounded to `PLACES`; every other sum adds up cells, so that
the parts of a report give its total to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from models.usage import UsageInterval, UsageState

PLACES: Final = Decimal("1e-10")  # of a dollar
_MS_PER_HOUR: Final = 3_600_000
# The default context would round sums of many intervals after 28 digits.
EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(slots=True)
class Cell:
    """What one group used in one bucket: dollars per hour times milliseconds, and milliseconds of running."""

    usd_ms: Decimal = Decimal(0)
    running_ms: int = 0

    def add(self, usd_ms: Decimal, running_ms: int) -> None:
        self.usd_ms = EXACT.add(self.usd_ms, usd_ms)
        self.running_ms += running_ms

    @property
    def usd(self) -> Decimal:
        return EXACT.quantize(EXACT.divide(self.usd_ms, Decimal(_MS_PER_HOUR)), PLACES)


def use(interval: UsageInterval, start: datetime, end: datetime, now: datetime) -> tuple[Decimal, int]:
    """What an interval used within a window, clipped at its borders: dollars per hour times milliseconds, and
    milliseconds of running. An interval that is still open ends `now`."""
    ms = milliseconds(max(interval.start, start), min(interval.end or max(now, interval.start), end))
    if ms <= 0:
        return Decimal(0), 0
    return EXACT.multiply(interval.usd_per_hour, Decimal(ms)), ms if interval.state is UsageState.RUNNING else 0


def milliseconds(start: datetime, end: datetime) -> int:
    return (end - start) // timedelta(milliseconds=1)


def hours(running_ms: int) -> float:
    return running_ms / _MS_PER_HOUR


def midnight(day: datetime) -> datetime:
    """The beginning of a moment's day, UTC."""
    return day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
