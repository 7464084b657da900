"""Google's list prices: refreshed regularly from the catalog, stored in the database, never read in a request.

A price is used only if it is unambiguous: exactly one price for a part in a region, within a factor of three of the
list that ships with this service. Otherwise the shipped price remains; for Spot that is the on-demand price. Traffic
always keeps the shipped price, because it is unknown which of the catalog's many traffic SKUs applies to a player's
stream.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from billing.google_catalog import Catalog, part_of
from errors import ProviderBusyError, UnavailableError
from models.database import Database
from models.google_prices import GoogleRegionPrices
from providers.google.prices import Prices, PriceSource, RegionPrices, UnitPrices, shipped_prices
from providers.google.regions import regions

log = logging.getLogger(__name__)

_PLAUSIBLE_FACTOR: Final = 3
_SPOT_LEAST_SHARE: Final = Decimal("0.05")  # of the on-demand price, which Spot never exceeds
_SPOT: Final = "spot:"
_READ_AGAIN_AFTER: Final = timedelta(minutes=10)

PartPrices = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class PriceRefresh:
    """Result of reading the catalog. `doubtful` lists regions and parts with ambiguous prices."""

    regions: int
    parts: int
    doubtful: tuple[str, ...]


async def refresh(
    db: Database, catalog: Catalog, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> PriceRefresh:
    """Read the whole catalog and store the unambiguous prices.

    Takes seconds; once a day is enough, and repeating it is safe. Raises a ProviderError if the catalog cannot be read,
    and leaves the stored prices unchanged.
    """
    found = await _read_catalog(catalog)
    if not found:
        raise ProviderBusyError("the Cloud Billing Catalog has none of the required prices")
    at, parts, doubtful = now(), 0, list[str]()
    for region, prices in sorted(found.items()):
        clear = {
            part: usd for part, usds in prices.items() if (usd := _plausible_price(region, part, usds)) is not None
        }
        doubtful += [f"{region} {part}" for part in prices.keys() - clear.keys()]
        parts += len(clear)
        usd_texts = {part: str(usd) for part, usd in clear.items()}
        await db.replace(GoogleRegionPrices(id=region, usd=usd_texts, at=at))
    log.info("Google prices refreshed", extra={"parts": parts, "doubtful": len(doubtful)})
    return PriceRefresh(len(found), parts, tuple(sorted(doubtful)))


class GooglePrices:
    """The current prices, read from the database at most every ten minutes and shared by all processes."""

    def __init__(self, db: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = db
        self._now = now
        self._prices = shipped_prices()
        self._read_at = datetime.min.replace(tzinfo=UTC)

    async def current(self) -> Prices:
        """Return the current prices; never raises.

        While the database is unavailable, these are the last prices read, or the shipped list.
        """
        if self._now() - self._read_at >= _READ_AGAIN_AFTER:
            try:
                rows, _ = await self._db.find_readable(GoogleRegionPrices, {})
            except UnavailableError:
                return self._prices
            self._prices, self._read_at = _merge(shipped_prices(), rows), self._now()
        return self._prices


async def _read_catalog(catalog: Catalog) -> dict[str, dict[str, set[Decimal]]]:
    """Return prices by region and part.

    SKUs with equal prices count as one, because some places are listed under two names.
    """
    found: dict[str, dict[str, set[Decimal]]] = defaultdict(lambda: defaultdict(set))
    async for sku in catalog.skus():
        part = part_of(sku)
        if part is None or sku.usd_per_unit is None:
            continue
        for region in sku.regions:
            if region in regions():
                found[region][part].add(sku.usd_per_unit)
    return found


def _plausible_price(region: str, part: str, usds: set[Decimal]) -> Decimal | None:
    if len(usds) != 1:
        return None
    (usd,) = usds
    shipped = shipped_prices().by_region.get(region)
    expected = None if shipped is None else _shipped_part(shipped, part.removeprefix(_SPOT))
    if expected is None:
        return usd
    if part.startswith(_SPOT):
        return usd if expected * _SPOT_LEAST_SHARE <= usd <= expected else None
    return usd if expected / _PLAUSIBLE_FACTOR <= usd <= expected * _PLAUSIBLE_FACTOR else None


def _shipped_part(prices: RegionPrices, part: str) -> Decimal | None:
    """Return the shipped price of a part, or None.

    Its price of a G2 vCPU includes memory, which is the smaller part.
    """
    kind, _, name = part.partition(":")
    match kind:
        case "gpu":
            return prices.gpu_usd_per_hour.get(name)
        case "disk":
            return prices.disk_usd_per_gib_month.get(name)
        case "vcpu" if (unit := prices.families.get(name)) is not None:
            return unit.usd_per_vcpu_hour
        case "gib" if (unit := prices.families.get(name)) is not None:
            return unit.usd_per_gib_hour or None
        case _:
            return None


def _merge(shipped: Prices, rows: list[GoogleRegionPrices]) -> Prices:
    by_region = dict(shipped.by_region)
    for row in rows:
        known = by_region.get(row.id)
        if known is not None and row.at > known.as_of:
            by_region[row.id] = _with_catalog(known, {part: Decimal(usd) for part, usd in row.usd.items()}, row.at)
    return Prices(MappingProxyType(by_region))


def _with_catalog(known: RegionPrices, usd: Mapping[str, Decimal], at: datetime) -> RegionPrices:
    """Apply the catalog's prices over the shipped ones. The prices of vCPU and memory are used only together."""
    families = dict(known.families)
    for name in {part.partition(":")[2] for part in usd if part.startswith("vcpu:")}:
        if (gib := usd.get(f"gib:{name}")) is not None and name in families:
            families[name] = UnitPrices(usd[f"vcpu:{name}"], gib)
    return replace(
        known,
        families=MappingProxyType(families),
        gpu_usd_per_hour=MappingProxyType({**known.gpu_usd_per_hour, **_named(usd, "gpu", known.gpu_usd_per_hour)}),
        disk_usd_per_gib_month=MappingProxyType(
            {**known.disk_usd_per_gib_month, **_named(usd, "disk", known.disk_usd_per_gib_month)}
        ),
        spot_usd=MappingProxyType({part.removeprefix(_SPOT): usd[part] for part in usd if part.startswith(_SPOT)}),
        as_of=at,
        source=PriceSource.CATALOG,
    )


def _named(usd: Mapping[str, Decimal], kind: str, offered: Mapping[str, Decimal]) -> PartPrices:
    """Return the catalog's prices of the parts that the shipped list also has."""
    return {name: usd[f"{kind}:{name}"] for name in offered if f"{kind}:{name}" in usd}
