"""Keeps the clouds' stock with positions, and its offers for each kind of machine, until the stock changes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from placement.coordinates import Position
from placement.gazetteer import Located, Precision
from placement.geocoding import Geocoder
from placement.located_site import LocatedSite
from placement.offer_table import OfferTable
from providers.base import Provider, ProviderName, Shape, Site
from providers.google.regions import find_region

_SHAPES_KEPT: Final = 32
_SITES_AT_ONCE: Final = 1000  # between two turns of the event loop


@dataclass(slots=True)
class _Stock:
    """What is derived from one list of sites while place names are known as well as in `geocoding`."""

    sites: Sequence[Site]
    geocoding: int
    located: list[LocatedSite]
    tables: OrderedDict[Shape, OfferTable] = field(default_factory=OrderedDict)


class StockTables:
    """A cloud whose stock has not changed hands out the same tuple of sites, so nothing is derived from it twice."""

    def __init__(self, geocoder: Geocoder) -> None:
        self._geocoder = geocoder
        self._stocks: dict[ProviderName, _Stock] = {}
        self._building: dict[ProviderName, asyncio.Lock] = {}

    async def located(self, cloud: ProviderName, sites: Sequence[Site]) -> Sequence[LocatedSite]:
        """Return the sites of a cloud with their positions, in the cloud's own order."""
        return (await self._stock(cloud, sites)).located

    async def offers(self, cloud: Provider, sites: Sequence[Site], shape: Shape) -> OfferTable:
        """Return what the sites of a cloud ask for a machine of this shape. Concurrent callers share the work."""
        stock = await self._stock(cloud.name, sites)
        if shape not in stock.tables:
            async with self._lock(cloud.name):
                if shape not in stock.tables:
                    stock.tables[shape] = await OfferTable.build(stock.located, lambda site: cloud.offer(site, shape))
        stock.tables.move_to_end(shape)
        table = stock.tables[shape]
        if len(stock.tables) > _SHAPES_KEPT:
            stock.tables.popitem(last=False)
        return table

    async def _stock(self, cloud: ProviderName, sites: Sequence[Site]) -> _Stock:
        if (known := self._current(cloud, sites)) is not None:
            return known
        async with self._lock(cloud):
            if (known := self._current(cloud, sites)) is not None:
                return known
            geocoding = self._geocoder.version
            stock = _Stock(sites, geocoding, await self._locate(sites))
            if isinstance(sites, tuple):
                self._stocks[cloud] = stock
            return stock

    def _current(self, cloud: ProviderName, sites: Sequence[Site]) -> _Stock | None:
        known = self._stocks.get(cloud)
        if known is None or known.sites is not sites or known.geocoding != self._geocoder.version:
            return None
        return known

    def _lock(self, cloud: ProviderName) -> asyncio.Lock:
        return self._building.setdefault(cloud, asyncio.Lock())

    async def _locate(self, sites: Sequence[Site]) -> list[LocatedSite]:
        located: list[LocatedSite] = []
        for start in range(0, len(sites), _SITES_AT_ONCE):
            located += await self._locate_part(sites[start : start + _SITES_AT_ONCE])
            await asyncio.sleep(0)
        return located

    async def _locate_part(self, sites: Sequence[Site]) -> list[LocatedSite]:
        regions = {site.id: _on_google(site) for site in sites}
        elsewhere = {site.place for site in sites if regions[site.id] is None}
        known = await self._geocoder.locate(elsewhere) if elsewhere else {}
        return [regions[site.id] or _from_geocoding(site, known[site.place]) for site in sites]


def _on_google(site: Site) -> LocatedSite | None:
    """Return the position of a Google region, which the list of regions has without geocoding."""
    region = find_region(site.id) if site.provider is ProviderName.CLOUDYPAD else None
    if region is None:
        return None
    return LocatedSite(site, Position(region.latitude, region.longitude), region.country_code, Precision.TOWN)


def _from_geocoding(site: Site, found: Located | None) -> LocatedSite:
    if found is None:
        return LocatedSite(site, None, None)
    return LocatedSite(site, found.position, found.country_code, found.precision)
