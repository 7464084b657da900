"""Coordinates of host-typed place names: from memory, the database, the gazetteer, and Nominatim if it is enabled.

No caller waits for Nominatim. Places that the gazetteer locates only roughly or not at all are looked up there in the
background, once a second as its usage policy requires, and are known better the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from errors import UnavailableError
from models.database import Database, best_effort
from models.placement_cache import GeocodedPlace
from placement.coordinates import Position
from placement.gazetteer import LazyGazetteer, Located, Precision
from placement.nominatim import Nominatim, geocode, geopy_nominatim
from providers.base import Place

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_QUESTIONS: Final = 1.0
_QUIET_AFTER_FAILURE: Final = timedelta(minutes=10)
_STORED_FOR: Final = timedelta(days=30)  # names and data change, slowly
_KEY_PART_LIMIT: Final = 200


class Geocoder:
    """Geocodes place names. Concurrent callers share the lookups; every process uses the results."""

    def __init__(
        self,
        db: Database,
        online: bool = False,
        nominatim: Callable[[], Nominatim] = geopy_nominatim,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._online = online
        self._make_nominatim = nominatim
        self._gazetteer = LazyGazetteer()
        self._sleep = sleep
        self._now = now
        self._known: dict[Place, Located | None] = {}
        self._version = 0
        self._doubtful: set[Place] = set()
        self._learning = asyncio.Lock()
        self._lookups: asyncio.Task[None] | None = None
        self._quiet_until = datetime.min.replace(tzinfo=UTC)

    @property
    def version(self) -> int:
        """Return a number that grows when a place that was located before becomes known better."""
        return self._version

    async def locate(self, places: Iterable[Place]) -> dict[Place, Located | None]:
        """Locate all places, with one query for those that are new to this process.

        The value is None for a place that is not known yet.
        """
        wanted = set(places)
        if not wanted <= self._known.keys():
            async with self._learning:
                await self._learn(wanted - self._known.keys())
        self._start_online_lookups()
        return {place: self._known[place] for place in wanted}

    async def wait_until_idle(self) -> None:
        """Wait until no online lookup is running."""
        if self._lookups is not None:
            await asyncio.wait([self._lookups])

    async def close(self) -> None:
        if self._lookups is not None:
            self._lookups.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lookups

    async def _learn(self, places: Collection[Place]) -> None:
        if not places:
            return
        stored = await self._load_stored(places)
        unknown = [place for place in places if place not in stored]
        gazetteer = await self._gazetteer.get() if unknown else None
        for place in unknown:
            assert gazetteer is not None
            stored[place] = _row(place, gazetteer.locate(place), "gazetteer", self._now())
        with best_effort():
            await asyncio.gather(*(self._db.replace(stored[place]) for place in unknown))
        self._doubtful |= {place for place, row in stored.items() if _is_doubtful(row)}
        self._known |= {place: _to_located(row) for place, row in stored.items()}

    async def _load_stored(self, places: Collection[Place]) -> dict[Place, GeocodedPlace]:
        read = await self._db.read_many(GeocodedPlace, map(_key, places))
        rows = {key: row for key, row in read.items() if isinstance(row, GeocodedPlace)}
        fresh_since = self._now() - _STORED_FOR
        return {place: row for place in places if (row := rows.get(_key(place))) and row.at >= fresh_since}

    def _start_online_lookups(self) -> None:
        busy = self._lookups is not None and not self._lookups.done()
        if self._online and self._doubtful and not busy and self._now() >= self._quiet_until:
            self._lookups = asyncio.create_task(self._look_up_online(sorted(self._doubtful, key=_key)), name="geocode")

    async def _look_up_online(self, places: list[Place]) -> None:
        nominatim = await asyncio.to_thread(self._make_nominatim)
        for place in places:
            try:
                answer = await asyncio.to_thread(geocode, nominatim, place)
                await self._remember(place, answer or self._known[place])
            except (OSError, ValueError, UnavailableError) as error:
                # This is no result, so nothing is stored and the lookup is repeated later.
                log.warning("online geocoding failed, pausing", extra={"reason": type(error).__name__})
                self._quiet_until = self._now() + _QUIET_AFTER_FAILURE
                return
            await self._sleep(_SECONDS_BETWEEN_QUESTIONS)

    async def _remember(self, place: Place, located: Located | None) -> None:
        await self._db.replace(_row(place, located, "nominatim", self._now()))
        self._known[place] = located
        self._version += 1
        self._doubtful.discard(place)


def _key(place: Place) -> str:
    return "|".join(part.strip()[:_KEY_PART_LIMIT] for part in (place.city, place.region, place.country))


def _row(place: Place, located: Located | None, source: str, at: datetime) -> GeocodedPlace:
    if located is None:
        return GeocodedPlace(id=_key(place), source=source, at=at)
    return GeocodedPlace(
        id=_key(place),
        latitude=located.position.latitude,
        longitude=located.position.longitude,
        country_code=located.country_code,
        precision=located.precision.value,
        source=source,
        at=at,
    )


def _to_located(row: GeocodedPlace) -> Located | None:
    if row.latitude is None or row.longitude is None:
        return None
    position = Position(row.latitude, row.longitude)
    return Located(position, row.country_code, Precision(row.precision or Precision.TOWN))


def _is_doubtful(row: GeocodedPlace) -> bool:
    """Return whether Nominatim could know the place better and has not been queried for it."""
    return row.source == "gazetteer" and row.precision != Precision.TOWN
