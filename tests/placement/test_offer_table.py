from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from random import Random

import numpy as np
import pytest

from models.catalog import CONSOLES, ConsoleType
from models.database import Database
from placement.coordinates import Position
from placement.distance import distance_km
from placement.geocoding import Geocoder
from placement.located_site import LocatedSite
from placement.offer_table import OfferTable
from placement.ranking import Placements
from placement.scoring import CloudOffers, Rows, Wish, rank_offers
from placement.stock_tables import StockTables
from providers.base import Offer, Place, ProviderName, Shape, Site
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud, site
from tests.placement.test_geocoding import FakeNominatim, FoundPlace

NOWHERE = Place("Xyzzy", "", "Atlantis")
SHAPE = CONSOLES[ConsoleType.WII].preset.shape
TENSORDOCK, GOOGLE = ProviderName.TENSORDOCK, ProviderName.CLOUDYPAD


class CountingCloud(FakeCloud):
    """A cloud that hands out the same tuple until its stock changes, as the real adapters do."""

    def __init__(self, sites: Sequence[Site]) -> None:
        super().__init__(ProviderName.TENSORDOCK, sites)
        self.listed = tuple(sites)
        self.offers_computed = 0

    async def sites(self) -> Sequence[Site]:
        return self.listed

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        self.offers_computed += 1
        return super().offer(site, shape)


def random_located(random: Random, count: int) -> list[LocatedSite]:
    """Return sites with few different prices and places, so that many tie, and some without a place."""
    spots = [Position(random.uniform(-80, 80), random.uniform(-180, 180)) for _ in range(5)]
    located = []
    for number in random.sample(range(1000), count):
        price = random.choice(["0.30", "0.30000000000000001", "0.4", "0.5"])
        one = site(f"host-{number:03}", NOWHERE, price)
        located.append(LocatedSite(one, random.choice([*spots, None]), None))
    return located


@pytest.mark.parametrize("seed", range(20))
async def test_the_order_is_that_of_a_plain_sort(seed: int) -> None:
    random = Random(seed)
    clouds, plain = [], []
    for preference, (name, trouble) in enumerate([(TENSORDOCK, None), (GOOGLE, random.choice([None, "in trouble"]))]):
        offering = FakeCloud(name)
        located = random_located(random, 40)
        table = await OfferTable.build(located, partial(offer_of, offering))
        clouds.append(CloudOffers(table, table_rows(table), preference, trouble))
        plain += [(one, offer, preference, trouble) for one in located if (offer := offering.offer(one.site, SHAPE))]
    near = Position(random.uniform(-80, 80), random.uniform(-180, 180))

    ranked = rank_offers(clouds, Wish(near, limit=15))

    def key(row: tuple[LocatedSite, Offer, int, str | None]) -> tuple[object, ...]:
        one, offer, preference, trouble = row
        known = distance_km(near, one.position)
        rtt_ms = 5 + (20015.1 if known is None else known) * 0.015
        score = round(rtt_ms + 30 * float(offer.usd_per_hour), 1)
        return trouble is not None, known is None, score, preference, offer.usd_per_hour, one.site.id

    assert [(each.offer.provider, each.located.site.id) for each in ranked] == [
        (offer.provider, one.site.id) for one, offer, _, _ in sorted(plain, key=key)[:15]
    ]


def offer_of(cloud: FakeCloud, one: Site) -> Offer | None:
    return cloud.offer(one, SHAPE)


def table_rows(table: OfferTable) -> Rows:
    return np.arange(len(table.offers))


async def test_a_stock_that_has_not_changed_is_priced_once(db: Database) -> None:
    cloud = CountingCloud([site(f"host-{number}", NOWHERE) for number in range(3)])
    geocoder = Geocoder(db)
    placements = Placements(db, Registry([cloud]), geocoder)
    console = CONSOLES[ConsoleType.WII]

    await asyncio.gather(*(placements.rank(console, Position(0, 0)) for _ in range(5)))
    assert cloud.offers_computed == 3

    cloud.listed = (*cloud.listed[:2], replace(cloud.listed[2], online=False))
    ranked = await placements.rank(console, Position(0, 0))
    await geocoder.close()
    assert cloud.offers_computed == 5
    assert [each.located.site.id for each in ranked] == ["host-0", "host-1"]


async def test_a_limit_counts_the_offers_that_cost_exactly_as_much() -> None:
    cloud = FakeCloud(TENSORDOCK)
    located = [LocatedSite(site(name, NOWHERE, usd), None, None) for name, usd in [("a", "0.40"), ("b", "0.41")]]
    table = await OfferTable.build(located, lambda one: cloud.offer(one, SHAPE))
    lower, higher = table.prices
    assert table.count_up_to(None) == 2
    assert table.count_up_to(lower) == 1
    assert table.count_up_to(higher, lower) == 1
    assert table.count_up_to(lower - Decimal("1e-20")) == 0


async def test_a_place_that_becomes_known_better_moves_its_sites(db: Database) -> None:
    async def no_pause(_: float) -> None: ...

    known = FakeNominatim({"Xyzzy": FoundPlace(44.383, 23.833, {"address": {"country_code": "ro"}})})
    geocoder = Geocoder(db, True, lambda: known, sleep=no_pause)
    tables = StockTables(geocoder)
    sites = (site("host", NOWHERE),)

    before = await tables.located(TENSORDOCK, sites)
    await geocoder.wait_until_idle()
    after = await tables.located(TENSORDOCK, sites)

    assert await tables.located(TENSORDOCK, sites) is after
    await geocoder.close()
    assert (before[0].position, after[0].position) == (None, Position(44.383, 23.833))
