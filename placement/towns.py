"""The world's towns with more than 5,000 people as arrays: 70,000 towns with 300,000 names in about 10 MB.

`python -m placement.build_towns` writes `towns.npz` and `countries.tsv` from the GeoNames lists (geonames.org, licence
CC BY 4.0); loading them takes milliseconds. Names are stored as 64-bit hashes, without collisions.
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
UNITS_PER_DEGREE: Final = 100_000  # GeoNames has five decimal places

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
    named_towns: Indices  # the town of the name at the same index of `name_hashes`

    def find_named(self, spellings: tuple[str, ...]) -> Indices:
        """Return the towns that have the first of these normalised names that is in use."""
        for spelling in spellings:
            wanted = name_hash(spelling)
            first = np.searchsorted(self.name_hashes, wanted, side="left")
            last = np.searchsorted(self.name_hashes, wanted, side="right")
            if last > first:
                return np.unique(self.named_towns[first:last])
        return np.empty(0, np.int64)

    def most_populous(self, towns: Indices) -> int:
        """Return the town with the largest population."""
        return int(towns[np.argmax(self.populations[towns])])


def name_hash(name: str) -> int:
    """Return the name's hash in 64 bits, which is the same in every process."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def load_towns() -> Towns:
    """Read the towns from the bundled file."""
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
    """Return (two-letter code, three-letter code, English name) of every country."""
    lines = COUNTRIES_FILE.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return [(code, code3, name) for code, code3, name in rows]
