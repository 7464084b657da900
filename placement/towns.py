"""The towns of the world with more than 5,000 people, as arrays: 70,000 towns under 300,000 names in about 10 MB.

`towns.npz` and `countries.tsv` are made of the GeoNames lists (geonames.org, licence CC BY 4.0) by
`python -m placement.build_towns`; loading them takes some milliseconds. Names are kept as their hashes: in 64 bits no
two of them meet.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

TOWNS_FILE: Final = Path(__file__).with_name("towns.npz")
COUNTRIES_FILE: Final = Path(__file__).with_name("countries.tsv")
UNITS_PER_DEGREE: Final = 100_000  # GeoNames gives five digits after the point

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
            wanted = name_hash(spelling)
            first = np.searchsorted(self.name_hashes, wanted, side="left")
            last = np.searchsorted(self.name_hashes, wanted, side="right")
            if last > first:
                return np.unique(self.named_towns[first:last])
        return np.empty(0, np.int64)

    def most_populous(self, towns: Indices) -> int:
        return int(towns[np.argmax(self.populations[towns])])


def name_hash(name: str) -> int:
    """Return 64 bits of the name's hash, the same in every process."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def load_towns() -> Towns:
    with np.load(TOWNS_FILE, allow_pickle=False) as columns:
        region_codes = columns["region_codes"]
        regions = region_codes[columns["regions"]]
        countries = np.array([code.partition(".")[0] for code in region_codes])[columns["regions"]]
        return Towns(
            columns["latitudes"] / UNITS_PER_DEGREE,
            columns["longitudes"] / UNITS_PER_DEGREE,
            columns["populations"].astype(np.int64),
            countries,
            regions,
            columns["name_hashes"],
            columns["named_towns"].astype(np.int64),
        )


def country_rows() -> list[tuple[str, str, str]]:
    """(two-letter code, three-letter code, English name) of every country."""
    lines = COUNTRIES_FILE.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return [(code, code3, name) for code, code3, name in rows]
