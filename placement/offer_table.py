"""The offers of one cloud for one kind of machine, as arrays, so that ranking them needs no loop.

Clouds with 50,000 hosts change their stock every few seconds, and players ask more often. A table is therefore built
once for each stock, and a request only computes distances and scores.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np

from placement.distance import Floats
from placement.located_site import LocatedSite
from providers.base import Offer, ProviderName, Site
from providers.google.regions import find_region

_ROWS_AT_ONCE: Final = 200  # between two turns of the event loop


@dataclass(frozen=True, slots=True)
class OfferTable:
    """Offers at the sites that are online, the cheapest first, then by site id. Unknown coordinates are NaN."""

    located: tuple[LocatedSite, ...]
    offers: tuple[Offer, ...]
    prices: tuple[Decimal, ...]
    usd_per_hour: Floats
    latitudes: Floats
    longitudes: Floats
    google_regions: tuple[str, ...]  # empty outside Google Cloud
    row_of_site: dict[str, int] = field(repr=False)

    @classmethod
    async def build(cls, located: Sequence[LocatedSite], offer: Callable[[Site], Offer | None]) -> OfferTable:
        """Build the table. `offer` returns what a site asks for the machine, or None if it does not fit there."""
        found: list[tuple[LocatedSite, Offer]] = []
        for number, one in enumerate(located, 1):
            if one.site.online and (offered := offer(one.site)) is not None:
                found.append((one, offered))
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        found.sort(key=lambda pair: (pair[1].usd_per_hour, pair[0].site.id))
        return cls.of([one for one, _ in found], [offered for _, offered in found])

    @classmethod
    def of(cls, located: Sequence[LocatedSite], offers: Sequence[Offer]) -> OfferTable:
        """Return the table of offers that are already in order."""
        positions = [one.position for one in located]
        return cls(
            located=tuple(located),
            offers=tuple(offers),
            prices=tuple(offer.usd_per_hour for offer in offers),
            usd_per_hour=np.array([float(offer.usd_per_hour) for offer in offers], np.float64),
            latitudes=np.array([np.nan if p is None else p.latitude for p in positions], np.float64),
            longitudes=np.array([np.nan if p is None else p.longitude for p in positions], np.float64),
            google_regions=tuple(map(_google_region, offers)),
            row_of_site={one.site.id: row for row, one in enumerate(located)},
        )

    def count_up_to(self, *limits: Decimal | None) -> int:
        """Return how many offers, counted from the cheapest, cost at most each of the limits. None is no limit."""
        least = min((limit for limit in limits if limit is not None), default=None)
        return len(self.prices) if least is None else bisect_right(self.prices, least)


def _google_region(offer: Offer) -> str:
    region = find_region(offer.site_id) if offer.provider is ProviderName.CLOUDYPAD else None
    return region.name if region else ""
