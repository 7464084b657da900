"""Forecasts how many launches the next hour brings at each site, from our own launches of the last two weeks.

The forecast is the mean number of launches in the same hour of the day, or half of the launches of the last hour if
that is more, as on a busy evening or in a deployment's first days. The pool holds that many machines, rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, NamedTuple

from models.catalog import ConsoleType, PresetName
from models.database import Database
from models.launch_times import LaunchTime
from models.launches import Launch
from providers.base import ProviderName

HISTORY: Final = timedelta(days=14)
AHEAD: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class Spot(NamedTuple):
    """Where machines of one kind are needed."""

    provider: ProviderName
    site_id: str
    preset: PresetName


@dataclass(frozen=True, slots=True)
class PastLaunch:
    """A launch that became ready, and when it was requested."""

    spot: Spot
    requested_at: datetime


async def read_past_launches(db: Database, now: datetime) -> list[PastLaunch]:
    """Return the launches of the last two weeks; records that this version cannot read are left out."""
    found, _ = await db.find_readable(LaunchTime, {"ready_at": {"$gte": now - HISTORY}})
    return [
        PastLaunch(Spot(each.provider, each.site_id, each.preset), each.ready_at - timedelta(seconds=each.seconds))
        for each in found
    ]


async def count_consoles(db: Database, now: datetime) -> Mapping[ConsoleType, int]:
    """Return how often each console was launched in the last two weeks."""
    stages: list[dict[str, Any]] = [
        {"$match": {"requested_at": {"$gte": now - HISTORY}}},
        {"$group": {"_id": "$console", "launches": {"$sum": 1}}},
    ]
    known = set(ConsoleType)
    rows = await db.aggregate(Launch, stages)
    return {ConsoleType(row["_id"]): row["launches"] for row in rows if row["_id"] in known}


def forecast(past: Iterable[PastLaunch], now: datetime) -> dict[Spot, float]:
    """Return the expected number of launches within the next hour, for each spot that has any."""
    launches = [each for each in past if now - HISTORY <= each.requested_at <= now]
    if not launches:
        return {}
    days = max(1, -(-(now - min(each.requested_at for each in launches)) // _DAY))
    usual = Counter(each.spot for each in launches if _is_ahead(each.requested_at, now))
    latest = Counter(each.spot for each in launches if now - each.requested_at < AHEAD)
    return {spot: max(usual[spot] / days, latest[spot] / 2) for spot in usual | latest}


def machines_wanted(expected: Mapping[Spot, float]) -> dict[Spot, int]:
    """Return how many machines each spot should have ready, those with the most launches first."""
    ordered = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    rounded = {spot: int(Decimal(str(number)).quantize(Decimal(1), ROUND_HALF_UP)) for spot, number in ordered}
    return {spot: count for spot, count in rounded.items() if count}


def _is_ahead(moment: datetime, now: datetime) -> bool:
    """Return whether this time of the day comes within the next hour."""
    return (moment - now) % _DAY < AHEAD
