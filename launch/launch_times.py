"""How long launches took and how many promises were kept, by provider, site and month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Any

from launch.playable_time import percentile_90
from models.database import Database
from models.launch_times import LaunchTime
from providers.base import ProviderName


@dataclass(frozen=True, slots=True)
class MonthOfLaunches:
    """`kept_share` counts launches with a promise alone; None if there was none."""

    month: date  # its first day
    provider: ProviderName
    site_id: str
    warm: bool
    launches: int
    median_seconds: float
    p90_seconds: float
    promises: int
    kept_share: float | None


async def launch_times(db: Database, since: datetime) -> list[MonthOfLaunches]:
    """Return the months from `since` on, the newest first, with the busiest site of each first."""
    found = await db.aggregate(LaunchTime, _grouped(since))
    months = [month for row in found if (month := _month_of(row)) is not None]
    return sorted(months, key=lambda each: (-each.month.toordinal(), -each.launches, each.provider, each.site_id))


def _grouped(since: datetime) -> list[dict[str, Any]]:
    has_promise = {"$gt": ["$promised_p90_seconds", None]}
    is_kept = {"$and": [has_promise, {"$lte": ["$seconds", "$promised_p90_seconds"]}]}
    key = {
        "year": {"$year": "$ready_at"},
        "month": {"$month": "$ready_at"},
        "provider": "$provider",
        "site_id": "$site_id",
        "warm": "$warm",
    }
    return [
        {"$match": {"ready_at": {"$gte": since}}},
        {
            "$group": {
                "_id": key,
                "seconds": {"$push": "$seconds"},
                "promises": {"$sum": {"$cond": [has_promise, 1, 0]}},
                "kept": {"$sum": {"$cond": [is_kept, 1, 0]}},
            }
        },
    ]


def _month_of(row: dict[str, Any]) -> MonthOfLaunches | None:
    """Return None for records that this version cannot read."""
    try:
        seconds = [float(each) for each in row["seconds"]]
        return _month(row["_id"], seconds, row["promises"], row["kept"])
    except (KeyError, ValueError, TypeError):
        return None


def _month(key: dict[str, Any], seconds: Sequence[float], promises: int, kept: int) -> MonthOfLaunches:
    return MonthOfLaunches(
        month=date(key["year"], key["month"], 1),
        provider=ProviderName(key["provider"]),
        site_id=key["site_id"],
        warm=key["warm"],
        launches=len(seconds),
        median_seconds=round(median(seconds), 1),
        p90_seconds=round(percentile_90(seconds), 1),
        promises=promises,
        kept_share=round(kept / promises, 4) if promises else None,
    )
