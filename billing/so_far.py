"""What VMs have used up to a moment, summed exactly from their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from models.database import Database
from models.usage import UsageInterval, UsageState

_MICRO_USD: Final = Decimal("0.000001")
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS_AN_HOUR: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What one VM has used. The cost is rounded once, at the end, to a millionth of a dollar."""

    running_seconds: int
    cost_usd: Decimal


NO_USAGE: Final = Usage(0, _MICRO_USD * 0)


async def usage_of(db: Database, vm_ids: Iterable[str], now: datetime) -> dict[str, Usage]:
    """By VM id; a VM that never was metered is not in it. One query, however many are asked for."""
    intervals: dict[str, list[UsageInterval]] = {}
    for interval in await db.find(UsageInterval, {"vm_id": {"$in": list(vm_ids)}}):
        intervals.setdefault(interval.vm_id, []).append(interval)
    return {vm_id: summed(own, now) for vm_id, own in intervals.items()}


def summed(intervals: Iterable[UsageInterval], now: datetime) -> Usage:
    """Intervals of one VM up to `now`; one that begins later counts as nothing."""
    running, usd_microseconds = 0, Decimal(0)
    for interval in intervals:
        microseconds = max(0, (min(interval.end or now, now) - interval.start) // _MICROSECOND)
        usd_microseconds += interval.usd_per_hour * microseconds
        running += microseconds if interval.state is UsageState.RUNNING else 0
    cost = (usd_microseconds / _MICROSECONDS_AN_HOUR).quantize(_MICRO_USD, ROUND_HALF_EVEN)
    return Usage(running // 1_000_000, cost)
