"""Maps a host-typed (city, region, country) to coordinates, with bundled data.

A name is tried in this order:
1. as a town of that name within the region,
2. the same with city and region swapped ("Delaware" in "Wilmington"),
3. as a town of that name just outside the region ("Mölln" in "Hamburg"),
4. as a region: the typed one, or one that the city is named after ("Texas"),
5. as the most populous town of that name in the country, if the region is not recognized,
6. as the country.

Regions and countries are placed at the population-weighted centre of their towns, and only if most people live near
enough to it: a wrong place would mislead more than none. Without a country the whole world is searched; if the country
is not recognized, town and region must agree.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Final

import numpy as np

from placement.coordinates import Position
from placement.distance import Floats, distances_km
from placement.place_names import country_code, country_codes_by_name, normalise, region_spellings, spellings
from placement.towns import Indices, Towns, country_rows, load_towns
from providers.base import Place
from providers.single_flight import SingleFlight

_ISO_REGION: Final = re.compile(r"[A-Z]{2}-[A-Z]{1,3}")  # ISO 3166-2, as "US-TX"
_REGION_LIST: Final = Path(__file__).with_name("regions.tsv")
_NEIGHBOURHOOD_KM: Final = 200.0  # maximum distance of a town from the centre of the region that it is said to be in
_WIDEST_SPREAD_KM: Final = 500.0  # root mean square distance of an area's population from its centre


class Precision(StrEnum):
    """Which part of a place name was recognized."""

    TOWN = "town"
    REGION = "region"
    COUNTRY = "country"


@dataclass(frozen=True, slots=True)
class Located:
    """Position of a named place. `country_code` is ISO 3166-1 alpha-2."""

    position: Position
    country_code: str | None
    precision: Precision = Precision.TOWN


class Gazetteer:
    """An immutable index of place names. Makes no requests."""

    def __init__(self, towns: Towns, countries: dict[str, str], regions: dict[str, list[str]]) -> None:
        self._towns = towns
        self._countries = countries
        self._regions = regions
        self._area = lru_cache(maxsize=4096)(self._measure_area)

    def locate(self, place: Place) -> Located | None:
        """Return where the place is, or None if the name is not recognized."""
        country = country_code(place.country, self._countries)
        if country is None and normalise(place.country):
            return self._town_in_region(place.city, place.region, None)
        return (
            self._town_in_region(place.city, place.region, country)
            or self._town_in_region(place.region, place.city, country)
            or self._town_beside_region(place, country)
            or self._region(place, country)
            or self._best_known_town(place, country)
            or self._country(country)
        )

    def _town_in_region(self, city: str, region: str, country: str | None) -> Located | None:
        regions = self._regions_named(region, country)
        towns = self._named_towns(city, country)
        return self._most_populous(towns[np.isin(self._towns.regions[towns], regions)])

    def _town_beside_region(self, place: Place, country: str | None) -> Located | None:
        towns = self._named_towns(place.city, country)
        for region in self._regions_named(place.region, country):
            area = self._area(region)
            if area is None or not towns.size:
                continue
            distances = distances_km(area.position, self._towns.latitudes[towns], self._towns.longitudes[towns])
            if distances.min() <= _NEIGHBOURHOOD_KM:
                return self._town(int(towns[np.argmin(distances)]))
        return None

    def _region(self, place: Place, country: str | None) -> Located | None:
        if country is None:
            return None
        named = self._regions_named(place.region, country)
        if not named and not self._named_towns(place.city, country).size:
            named = self._regions_named(place.city, country)
        return next((area for area in map(self._area, named) if area), None)

    def _best_known_town(self, place: Place, country: str | None) -> Located | None:
        return self._most_populous(self._named_towns(place.city, country))

    def _country(self, country: str | None) -> Located | None:
        return self._area(country) if country else None

    def _regions_named(self, name: str, country: str | None) -> list[str]:
        """Return codes like "US.TX" for the first spelling that is known."""
        if _ISO_REGION.fullmatch(name.strip().upper()):
            name = name.strip()[3:]
        for spelling in region_spellings(name):
            codes = self._regions.get(spelling, [])
            if known := [code for code in codes if country is None or code.startswith(f"{country}.")]:
                return known
        return []

    def _named_towns(self, name: str, country: str | None) -> Indices:
        towns = self._towns.find_named(spellings(name))
        return towns if country is None else towns[self._towns.countries[towns] == country]

    def _most_populous(self, towns: Indices) -> Located | None:
        return self._town(self._towns.most_populous(towns)) if towns.size else None

    def _town(self, row: int) -> Located:
        position = Position(float(self._towns.latitudes[row]), float(self._towns.longitudes[row]))
        return Located(position, str(self._towns.countries[row]))

    def _measure_area(self, code: str) -> Located | None:
        """Return the centre of a region ("US.TX") or country ("US"), or None if its population is too spread out."""
        precision = Precision.REGION if "." in code else Precision.COUNTRY
        column = self._towns.regions if precision is Precision.REGION else self._towns.countries
        rows = np.flatnonzero(column == code)
        if not rows.size:
            return None
        latitudes, longitudes = self._towns.latitudes[rows], self._towns.longitudes[rows]
        people = np.maximum(self._towns.populations[rows], 1)
        middle = _middle(latitudes, longitudes, people)
        spread = np.sqrt(np.average(distances_km(middle, latitudes, longitudes) ** 2, weights=people))
        return Located(middle, code.partition(".")[0], precision) if spread <= _WIDEST_SPREAD_KM else None


class LazyGazetteer:
    """Loads the gazetteer once, in a thread, when it is first needed."""

    def __init__(self) -> None:
        self._shared = SingleFlight(lambda _: asyncio.to_thread(load_gazetteer), keep_s=inf)

    async def get(self) -> Gazetteer:
        return await self._shared.get()


@lru_cache(maxsize=1)
def load_gazetteer() -> Gazetteer:
    """Load the gazetteer. The first call takes about a tenth of a second and belongs in a thread."""
    return Gazetteer(load_towns(), country_codes_by_name(country_rows()), _read_regions(_REGION_LIST))


def _read_regions(path: Path) -> dict[str, list[str]]:
    """Map normalised names to codes like "US.TX". A code of letters ("TX") counts as a name."""
    regions: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        country, code, name = line.split("\t")
        for spelling in (*region_spellings(name), *_letters(code)):
            if f"{country}.{code}" not in regions[spelling]:
                regions[spelling].append(f"{country}.{code}")
    return dict(regions)


def _letters(code: str) -> Iterable[str]:
    return [code.lower()] if code.isalpha() else []


def _middle(latitudes: Floats, longitudes: Floats, weights: Indices) -> Position:
    """Return the weighted centre on the sphere: the mean of the unit vectors, projected to the surface."""
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    x, y, z = (
        float(np.average(axis, weights=weights))
        for axis in (np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi))
    )
    return Position(float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x))))
