"""The list of the simulated Cloud Billing Catalog: parts of gaming machines, and what is easily confused with them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

# Of the price on demand. What Google takes for these is not known here; they are there to be passed over.
COMMITTED_SHARE: Final = Decimal("0.63")
CALENDAR_SHARE: Final = Decimal("0.5")
# Where the first 30 GiB of the slowest disk are free. The descriptions of disks leave this place out.
AMERICAS: Final = "Americas"
FREE_GIB: Final = 30


@dataclass(frozen=True, slots=True)
class Listed:
    """One SKU. `free_units` cost nothing, the rest costs `usd`."""

    description: str
    family: str
    group: str
    usage_type: str
    unit: str
    usd: Decimal
    free_units: int = 0


@dataclass(frozen=True, slots=True)
class PartWords:
    """The words of the catalog for one part. `spot` and `committed` are empty where Google has no such thing."""

    family: str
    group: str
    unit: str
    on_demand: str
    spot: str = ""
    committed: str = ""


PARTS: Final = {
    "N1 core": PartWords("Compute", "N1Standard", "h", "N1 Predefined Instance Core running"),
    "N1 RAM": PartWords("Compute", "N1Standard", "GiBy.h", "N1 Predefined Instance Ram running"),
    "G2 core": PartWords(
        *("Compute", "CPU", "h", "G2 Instance Core running", "Spot Preemptible G2 Instance Core running", "G2 Cpu")
    ),
    "G2 RAM": PartWords(
        *("Compute", "RAM", "GiBy.h", "G2 Instance Ram running", "Spot Preemptible G2 Instance Ram running", "G2 Ram")
    ),
    "L4": PartWords(
        *("Compute", "GPU", "h", "Nvidia L4 GPU running", "Nvidia L4 GPU attached to Spot Preemptible VMs running"),
        "Nvidia L4 GPU running",
    ),
    "T4": PartWords(
        *("Compute", "GPU", "h", "Nvidia Tesla T4 GPU running"),
        "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running",
    ),
    "pd-balanced": PartWords("Storage", "SSD", "GiBy.mo", "Balanced PD Capacity"),
    "pd-ssd": PartWords("Storage", "SSD", "GiBy.mo", "SSD backed PD Capacity"),
    "pd-standard": PartWords("Storage", "PDStandard", "GiBy.mo", "Storage PD Capacity"),
}


@cache
def listed() -> tuple[tuple[Listed, tuple[str, ...]], ...]:
    """Return every SKU with its regions. Regions of one name and one price share a SKU."""
    regions: dict[Listed, list[str]] = defaultdict(list)
    for row in json.loads((Path(__file__).parent / "prices.json").read_text())["regions"]:
        for place in row["places"]:
            for sku in _of_place(row, place):
                regions[sku].append(row["region"])
    return tuple((sku, tuple(names)) for sku, names in regions.items())


def _of_place(row: dict[str, Any], place: str) -> Iterator[Listed]:
    for name, text in row["usd"].items():
        words, usd = PARTS[name], Decimal(text)
        yield _on_demand(words, place, usd)
        if words.group == "GPU":
            described = f"{words.on_demand} in {place} (DWS Calendar Mode)"
            yield _listed(words, described, "OnDemand", usd * CALENDAR_SHARE)
        if words.committed:
            described = f"Commitment v1: {words.committed} in {place} for 1 Year"
            yield _listed(words, described, "Commit1Yr", usd * COMMITTED_SHARE)
    for name, text in row["spot_usd"].items():
        words = PARTS[name]
        yield _listed(words, f"{words.spot} in {place}", "Preemptible", Decimal(text))


def _on_demand(words: PartWords, place: str, usd: Decimal) -> Listed:
    is_disk, in_americas = words.family == "Storage", place == AMERICAS
    described = words.on_demand if is_disk and in_americas else f"{words.on_demand} in {place}"
    free = FREE_GIB if words.group == "PDStandard" and in_americas else 0
    return _listed(words, described, "OnDemand", usd, free)


def _listed(words: PartWords, description: str, usage_type: str, usd: Decimal, free_units: int = 0) -> Listed:
    usd = usd.quantize(Decimal("1e-9"))  # Money ends at the nanodollar
    return Listed(description, words.family, words.group, usage_type, words.unit, usd, free_units)
