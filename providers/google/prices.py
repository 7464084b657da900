"""Hourly cost of machines on Google Cloud, by part. List prices in USD, without discounts and taxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from providers.base import PricePart as Part

__all__ = ["Part"]

_SHIPPED: Final = Path(__file__).with_name("prices.json")
HOURS_PER_MONTH: Final = 730  # Google's convention for prices by the month
# An external IPv4 address, from Google's network pricing page: in use, and reserved for a stopped machine.
ADDRESS_USD_PER_HOUR: Final = Decimal("0.005")
ADDRESS_KEPT_USD_PER_HOUR: Final = Decimal("0.01")
_BITS_PER_GIB: Final = 8 * 2**30
_GIB_PER_VCPU: Final = {"n1-standard": Decimal("3.75"), "g2-standard": Decimal(4)}


class PriceSource(StrEnum):
    CATALOG = "CATALOG"  # the Cloud Billing Catalog
    SHIPPED = "SHIPPED"  # the dated list in this folder


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """Prices of one machine family. `usd_per_gib_hour` is zero where the vCPU's price includes memory."""

    usd_per_vcpu_hour: Decimal
    usd_per_gib_hour: Decimal


@dataclass(frozen=True, slots=True)
class RegionPrices:
    """Prices of one region.

    `families` has "n1-standard" and "g2-standard" if they are sold there.
    """

    families: Mapping[str, UnitPrices]
    gpu_usd_per_hour: Mapping[str, Decimal]
    disk_usd_per_gib_month: Mapping[str, Decimal]
    egress_usd_per_gib: Mapping[str, Decimal]  # by network tier
    as_of: datetime
    source: PriceSource
    # Spot prices by part: "vcpu:" and "gib:" with a family, "gpu:" with a model. Google changes these up to daily.
    spot_usd: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prices:
    by_region: Mapping[str, RegionPrices]


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage besides the machine type.

    `disk_gib` is the sum of its disks. With `spot`, machine and GPU are cheaper if the Spot price is known; disk and
    traffic are not.
    """

    disk_gib: int
    disk_type: str = "pd-balanced"
    network_tier: str = "STANDARD"
    stream_mbit_per_s: int = 20
    spot: bool = False


@dataclass(frozen=True, slots=True)
class HourlyPrice:
    """An hourly price as the exact sum of its parts. A stopped machine pays for its disk and its address."""

    lines: Mapping[Part, Decimal]
    as_of: datetime
    source: PriceSource

    @property
    def usd_per_hour(self) -> Decimal:
        return sum(self.lines.values(), Decimal(0))

    @property
    def usd_per_hour_stopped(self) -> Decimal:
        return self.lines[Part.DISK] + ADDRESS_KEPT_USD_PER_HOUR


def hourly_price(prices: RegionPrices, machine_type: str, gpu_model: str, usage: Usage) -> HourlyPrice | None:
    """Return the hourly price, or None if any part has no price: an incomplete sum would be wrong."""
    machine = _machine_usd_per_hour(prices, machine_type)
    gpu = prices.gpu_usd_per_hour.get(gpu_model)
    if usage.spot and machine is not None and gpu is not None:
        machine = min(machine, _machine_usd_per_hour_as_spot(prices, machine_type) or machine)
        gpu = min(gpu, prices.spot_usd.get(f"gpu:{gpu_model}", gpu))
    disk = prices.disk_usd_per_gib_month.get(usage.disk_type)
    egress = prices.egress_usd_per_gib.get(usage.network_tier)
    if machine is None or gpu is None or disk is None or egress is None:
        return None
    lines = {
        Part.MACHINE: machine,
        Part.GPU: gpu,
        Part.DISK: _round(disk * usage.disk_gib / HOURS_PER_MONTH),
        Part.ADDRESS: ADDRESS_USD_PER_HOUR,
        Part.EGRESS: _round(egress * usage.stream_mbit_per_s * 10**6 * 3600 / _BITS_PER_GIB),
    }
    return HourlyPrice(MappingProxyType(lines), prices.as_of, prices.source)


@lru_cache(maxsize=1)
def shipped_prices() -> Prices:
    """Return the price list of this folder, with its date."""
    raw = orjson.loads(_SHIPPED.read_bytes())
    as_of = datetime.fromisoformat(raw["as_of"]).replace(tzinfo=UTC)
    return Prices(MappingProxyType({row["region"]: _region_prices(row, as_of) for row in raw["regions"]}))


def _machine_usd_per_hour(prices: RegionPrices, machine_type: str) -> Decimal | None:
    family, _, vcpus = machine_type.rpartition("-")
    unit = prices.families.get(family)
    if unit is None:
        return None
    return int(vcpus) * (unit.usd_per_vcpu_hour + _GIB_PER_VCPU[family] * unit.usd_per_gib_hour)


def _machine_usd_per_hour_as_spot(prices: RegionPrices, machine_type: str) -> Decimal | None:
    """Return the Spot price of vCPUs and memory, or None unless both are known."""
    family, _, vcpus = machine_type.rpartition("-")
    vcpu, gib = prices.spot_usd.get(f"vcpu:{family}"), prices.spot_usd.get(f"gib:{family}")
    return None if vcpu is None or gib is None else int(vcpus) * (vcpu + _GIB_PER_VCPU[family] * gib)


def _round(usd: Decimal) -> Decimal:
    """Round to a millionth of a dollar: quotients may have endless digits, amounts must not."""
    return usd.quantize(Decimal("0.000001"))


def _region_prices(row: dict[str, Any], as_of: datetime) -> RegionPrices:
    families = {}
    if n1 := row.get("n1"):
        families["n1-standard"] = UnitPrices(Decimal(n1["vcpu"]), Decimal(n1["ram_gib"]))
    if g2 := row.get("g2"):
        families["g2-standard"] = UnitPrices(Decimal(g2["vcpu_with_4_gib"]), Decimal(0))
    return RegionPrices(
        families=MappingProxyType(families),
        gpu_usd_per_hour=_decimals(row["gpus"]),
        disk_usd_per_gib_month=_decimals(row["disk_gib_month"]),
        egress_usd_per_gib=_decimals(row["egress_gib"]),
        as_of=as_of,
        source=PriceSource.SHIPPED,
    )


def _decimals(raw: dict[str, str]) -> Mapping[str, Decimal]:
    return MappingProxyType({name: Decimal(usd) for name, usd in raw.items()})
