"""Orders Google's regions by their distance on Google's own network.

Geographic distance misleads where cables take another way: Santiago is no farther from Auckland than many regions with
a shorter round trip. Google's Location Finder knows the order around a region, but neither milliseconds nor players.
Therefore the region nearest to the player represents the player, and estimates that contradict the order around it are
smoothed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from errors import GatewayError, ProviderBusyError, ProviderRefusedError
from models.database import Database, best_effort
from models.placement_cache import NetworkOrder
from providers.google.location_finder import CloudLocation
from providers.google.regions import find_region, regions

log = logging.getLogger(__name__)

_KEPT_FOR: Final = timedelta(days=7)
_QUIET_AFTER_SILENCE: Final = timedelta(minutes=5)
_QUIET_AFTER_REFUSAL: Final = timedelta(hours=1)
_APART_MS: Final = 0.1  # minimum difference, so that the order is kept where nothing else is known


class Finder(Protocol):
    async def regions_near(self, region: str) -> list[CloudLocation]: ...


@dataclass(frozen=True, slots=True)
class RegionOrder:
    """An order of regions, nearest first and beginning with the anchor.

    `regions` is empty if distance alone decides; `reason` says why.
    """

    anchor: str
    regions: tuple[str, ...] = ()
    reason: str = ""
    carbon_free_percent: dict[str, float] = field(default_factory=dict)


class NetworkOrders:
    """Caches orders in memory and in the database. A late response serves later callers."""

    def __init__(
        self,
        db: Database,
        finder: Finder | None = None,
        *,
        deadline_s: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._finder = finder
        self._deadline_s = deadline_s
        self._now = now
        self._known: dict[str, NetworkOrder] = {}
        self._queries: dict[str, asyncio.Task[None]] = {}
        self._silent_until = datetime.min.replace(tzinfo=UTC)
        self._silence = ""

    async def regions_near(self, anchor: str) -> RegionOrder:
        """Return the order around a region within the deadline; never raises a ProviderError.

        Without a response, distance decides.
        """
        if self._finder is None:
            return _by_distance(anchor, "no Google project is set up for Location Finder")
        if not self._is_fresh(anchor) and self._now() >= self._silent_until:
            await asyncio.wait([self._shared_query(anchor, self._finder)], timeout=self._deadline_s)
        if self._is_fresh(anchor):
            return _by_network(self._known[anchor])
        return _by_distance(anchor, self._silence or "Location Finder did not respond in time")

    def carbon_free_percent(self, region: str) -> float | None:
        """Return the newest value that this process has read, else the one of 2024's table; None if Google has none."""
        told = (order.carbon_free_percent.get(region) for order in self._known.values())
        listed = find_region(region)
        return next(
            (percent for percent in told if percent is not None), listed.carbon_free_percent if listed else None
        )

    async def close(self) -> None:
        tasks = list(self._queries.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_fresh(self, anchor: str) -> bool:
        return anchor in self._known and self._known[anchor].at >= self._now() - _KEPT_FOR

    def _shared_query(self, anchor: str, finder: Finder) -> asyncio.Task[None]:
        """Return the query for an anchor, which all its callers share."""
        if anchor not in self._queries:
            task = asyncio.create_task(self._learn(anchor, finder), name=f"network order around {anchor}")
            task.add_done_callback(lambda _: self._queries.pop(anchor, None))
            self._queries[anchor] = task
        return self._queries[anchor]

    async def _learn(self, anchor: str, finder: Finder) -> None:
        try:
            stored = await self._db.get_derived(NetworkOrder, anchor)
            if stored is None or stored.at < self._now() - _KEPT_FOR:
                stored = _row(anchor, await finder.regions_near(anchor), self._now())
                with best_effort():
                    await self._db.replace(stored)
        except GatewayError as error:
            refused = isinstance(error, ProviderRefusedError)
            self._silence = "Location Finder rejected the request" if refused else "Location Finder gave no response"
            self._silent_until = self._now() + (_QUIET_AFTER_REFUSAL if refused else _QUIET_AFTER_SILENCE)
            log.warning("network order unavailable, ordering regions by distance", extra={"reason": error.message})
            return
        self._known[anchor] = stored
        self._silence = ""


def fit_to_order(regions: Sequence[str], rtts_ms: Sequence[float], order: RegionOrder) -> list[float]:
    """Fit round-trip times to the order: neighbours in the wrong order get their mean (isotonic regression).

    As few values as possible change. Regions that the order does not contain keep theirs.
    """
    position = {region: number for number, region in enumerate(order.regions)}
    rows = sorted((row for row, region in enumerate(regions) if region in position), key=lambda r: position[regions[r]])
    blocks: list[list[int]] = []
    for row in rows:
        blocks.append([row])
        while len(blocks) > 1 and _mean(blocks[-2], rtts_ms) > _mean(blocks[-1], rtts_ms):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    settled, last_ms = list(rtts_ms), -_APART_MS
    for block in blocks:
        for row in block:
            settled[row] = last_ms = max(_mean(block, rtts_ms), last_ms + _APART_MS)
    return settled


def _mean(rows: Sequence[int], values: Sequence[float]) -> float:
    return sum(values[row] for row in rows) / len(rows)


def _row(anchor: str, found: Sequence[CloudLocation], at: datetime) -> NetworkOrder:
    known = dict.fromkeys(one.region for one in found if one.region in regions() and one.region != anchor)
    if not known:
        # If it were stored, it would count as Google's order for a week.
        raise ProviderBusyError("Location Finder named no region")
    carbon_free = {one.region: one.carbon_free_percent for one in found if one.carbon_free_percent is not None}
    return NetworkOrder(id=anchor, regions=list(known), carbon_free_percent=carbon_free, at=at)


def _by_network(row: NetworkOrder) -> RegionOrder:
    reason = f"order of Google's regions by its network around {row.id} (Location Finder)"
    return RegionOrder(row.id, (row.id, *row.regions), reason, row.carbon_free_percent)


def _by_distance(anchor: str, why: str) -> RegionOrder:
    return RegionOrder(anchor, reason=f"order of Google's regions by distance: {why}")
