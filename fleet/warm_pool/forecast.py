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
_WRITTEN_LATE: Final = timedelta(hours=1)  # so much later a launch may be recorded, after an outage
_COLUMNS: Final = frozenset({"id", "provider", "site_id", "preset", "seconds", "ready_at"})


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


class PastLaunches:
    """The launches of the last two weeks. Each is read once or a few times, not again in every round."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, tuple[datetime, PastLaunch]] = {}  # by launch, with the time at which it became ready
        self._read_at: datetime | None = None

    async def read(self, now: datetime) -> list[PastLaunch]:
        """Return the launches; records that this version cannot read are left out."""
        oldest = now - HISTORY
        since = oldest if self._read_at is None else self._read_at - _WRITTEN_LATE
        found, _ = await self._db.find_readable(LaunchTime, {"ready_at": {"$gte": since}}, columns=_COLUMNS)
        self._known |= {each.id: (each.ready_at, _past(each)) for each in found}
        self._known = {key: known for key, known in self._known.items() if known[0] >= oldest}
        self._read_at = now
        return [launch for _, launch in self._known.values()]


def _past(taken: LaunchTime) -> PastLaunch:
    spot = Spot(taken.provider, taken.site_id, taken.preset)
    return PastLaunch(spot, taken.ready_at - timedelta(seconds=taken.seconds))


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
