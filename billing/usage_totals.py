"""Total usage of VMs, summed exactly from their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from billing.amounts import Cell, usage_between
from errors import UnreadableRecordError
from models.database import Database, Document
from models.usage import UsageInterval


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one VM: the same amount as in a report over its whole life."""

    running_seconds: int
    cost_usd: Decimal


_PRICES: Final = frozenset({"machine_usd_per_hour", "storage_usd_per_hour", "egress_usd_per_hour"})
_SUMMED: Final = _PRICES | {"vm_id", "state", "start", "end"}
NO_USAGE: Final = Usage(0, Decimal(0))


async def usage_of(db: Database, vm_ids: Iterable[str], now: datetime) -> dict[str, Usage | UnreadableRecordError]:
    """Return usage by VM id; a VM that never was metered is not in it. One query, however many are requested.

    A sum that lacks an interval would be wrong: its VM has the error instead.
    """
    intervals: dict[str, list[UsageInterval]] = {}
    read, unreadable = await db.find_readable(UsageInterval, {"vm_id": {"$in": list(vm_ids)}}, columns=_SUMMED)
    for interval in read:
        intervals.setdefault(interval.vm_id, []).append(interval)
    sums: dict[str, Usage | UnreadableRecordError] = {vm_id: sum_usage(own, now) for vm_id, own in intervals.items()}
    reasons = {each.id: each.reason for each in unreadable}
    if reasons:
        wanted: list[Document] = [{"$match": {"_id": {"$in": list(reasons)}}}, {"$project": {"vm_id": 1}}]
        for raw in await db.aggregate(UsageInterval, wanted):
            sums[raw["vm_id"]] = UnreadableRecordError(reasons[raw["_id"]])
    return sums


def sum_usage(intervals: Iterable[UsageInterval], now: datetime) -> Usage:
    """Sum the intervals of one VM up to `now`. Intervals that begin later count as zero."""
    sum_ = Cell()
    for interval in intervals:
        sum_.add(usage_between(interval, interval.start, now))
    return Usage(sum_.running_ms // 1000, sum_.usd)
