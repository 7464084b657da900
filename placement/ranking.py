"""Ranks the sites where a machine could be created: the clouds' stock, geocoding, unavailable sites, scoring."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

import numpy as np

from errors import NoPlacementError, ProviderDownError, ProviderError, ProviderSilentError, StockUnknownError
from models.catalog import Console, PresetName
from models.database import Database
from placement.coordinates import Position
from placement.geocoding import Geocoder
from placement.google_network_order import NetworkOrders, RegionOrder
from placement.located_site import LocatedSite
from placement.offer_table import OfferTable
from placement.reasons import price_words
from placement.scoring import (
    DEFAULT_WEIGHTS,
    CloudOffers,
    RankedPlacement,
    SiteKey,
    UsualWaits,
    Weights,
    Wish,
    distances_in,
    rank_offers,
)
from placement.stock_tables import StockTables
from placement.unavailable_sites import EVERY_SITE, FullSites, Unavailable
from providers.base import Offer, Provider, ProviderName, Shape, Site, SiteId
from providers.last_known import LastKnown
from providers.registry import Registry

__all__ = ["LocatedSite", "Placements", "RankedPlacement", "Weights"]

log = logging.getLogger(__name__)


class Waiting(Protocol):
    """Knows how long players usually wait. launch.playable_time.PlayableTimes implements it."""

    async def usual_waits(self, provider: ProviderName, preset: PresetName) -> UsualWaits:
        """Return the median times until a game is playable on a new machine."""
        ...


@dataclass(frozen=True, slots=True)
class _Survey:
    """The clouds' offers before position and price are weighed."""

    offers: list[CloudOffers]
    failed: list[ProviderName]
    silent: set[ProviderName]  # the failed ones that did not respond in time

    def up_to(self, max_usd_per_hour: Decimal | None) -> list[CloudOffers]:
        """Return the offers that cost at most this much."""
        return [
            replace(cloud, rows=rows)
            for cloud in self.offers
            if (rows := cloud.rows[: np.searchsorted(cloud.rows, cloud.table.count_up_to(max_usd_per_hour))]).size
        ]


class Placements:
    """Queries every cloud at once. Each adapter limits how long it takes."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        geocoder: Geocoder,
        weights: Weights = DEFAULT_WEIGHTS,
        orders: NetworkOrders | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """Set up the ranking. Without `waiting`, or without a weight for it, waiting times are not weighed."""
        self._waiting = waiting
        self._full_sites = FullSites(db)
        self._registry = registry
        self._stock_tables = StockTables(geocoder)
        self._orders = orders or NetworkOrders(db)
        self._weights = weights
        self._last_known: Mapping[ProviderName, LastKnown[Sequence[Site]]] = {}

    @property
    def weights(self) -> Weights:
        """Return the weights of scores."""
        return self._weights

    def with_patience(self, patience_s: float) -> Placements:
        """Return placements that use the last known stock of a cloud that does not answer within `patience_s`."""
        prompt = copy.copy(self)
        clouds = self._registry.all()
        prompt._last_known = {cloud.name: LastKnown(cloud.name, cloud.sites, patience_s=patience_s) for cloud in clouds}
        return prompt

    async def close(self) -> None:
        """Stop the reads that go on in the background."""
        await asyncio.gather(*(known.close() for known in self._last_known.values()))

    async def sites(self, provider: ProviderName) -> list[LocatedSite]:
        """Return every site of one cloud, usable or not, in the cloud's own order.

        Raises the cloud's ProviderError, or ProviderDownError if it is not configured.
        """
        return list(await self._stock_tables.located(provider, await self._stock(self._registry.get(provider))))

    async def rank(
        self,
        console: Console,
        near: Position | None,
        *,
        provider: ProviderName | None = None,
        max_usd_per_hour: Decimal | None = None,
        limit: int = 10,
        closest_first: bool = False,
        measured: Mapping[SiteKey, float] | None = None,
    ) -> list[RankedPlacement]:
        """Return the placements for this console's machine, best first.

        The list is empty if no site fits, is available, is allowed and is cheap enough. Without a position the price
        alone decides. Sites at unknown places come last, and clouds that report trouble come after healthy ones. A
        failing cloud is skipped; ProviderDownError is raised if that leaves nothing. `closest_first` orders by distance
        alone. `measured` has the player's own round trips in milliseconds, which replace the estimates.
        """
        survey = await self._survey(console, provider)
        affordable = survey.up_to(max_usd_per_hour)
        if not affordable and survey.silent:
            silent = min(survey.silent)
            raise StockUnknownError(f"{silent} does not respond now", silent)
        if not affordable and survey.failed:
            raise ProviderDownError(f"{survey.failed[0]} is not available now", survey.failed[0])
        affordable = await self._with_waits(affordable, console.preset.name)
        order = await self._google_order(affordable, near)
        ranked = rank_offers(affordable, Wish(near, limit, closest_first, order, measured or {}), self._weights)
        reason = console.unplayable_reason
        more = () if reason is None else (reason,)
        preset = console.preset.name
        return [replace(each, reasons=(*each.reasons, *more), preset=preset) for each in ranked]

    async def _with_waits(self, clouds: Sequence[CloudOffers], preset: PresetName) -> list[CloudOffers]:
        if self._waiting is None or not self._weights.per_waiting_minute:
            return list(clouds)
        return [
            replace(cloud, waits=await self._waiting.usual_waits(cloud.table.offers[0].provider, preset))
            for cloud in clouds
        ]

    async def explain_empty(
        self, console: Console, *, provider: ProviderName | None = None, max_usd_per_hour: Decimal | None = None
    ) -> NoPlacementError:
        """Return the error for an empty ranking: nothing fits, or all is too expensive, with the lowest price."""
        survey = await self._survey(console, provider)
        if not survey.offers or max_usd_per_hour is None:
            return NoPlacementError(f"no site has a machine for {console.name} available now")
        cheapest = min(cloud.table.prices[cloud.rows[0]] for cloud in survey.offers)
        return NoPlacementError(
            f"nothing for {console.name} costs at most {price_words(max_usd_per_hour)}; "
            f"the cheapest that fits is {price_words(cheapest)}",
            ("maxHourlyPrice",),
        )

    async def mark_full(self, provider: ProviderName, site_id: SiteId, reason: str) -> None:
        """Skip this site in all processes for the next five minutes. Repeating it extends the time."""
        await self._full_sites.mark_full(provider, site_id, reason)

    async def mark_offer_full(self, offer: Offer, reason: str) -> None:
        """Skip the site of an offer, unless its whole cloud is skipped, which says nothing about the site."""
        if await self._full_sites.cloud_reason(offer.provider, offer.usd_per_hour) is None:
            await self.mark_full(offer.provider, offer.site_id, reason)

    def carbon_free_percent(self, region: str) -> float | None:
        """Return the carbon-free share of a Google region, or None if Google does not publish it."""
        return self._orders.carbon_free_percent(region)

    async def _survey(self, console: Console, provider: ProviderName | None) -> _Survey:
        preferences = {preference.provider: preference for preference in console.providers if preference.enabled}
        asked_for = self._registry.all() if provider is None else [self._registry.get(provider)]
        clouds = [cloud for cloud in asked_for if cloud.name in preferences]
        full, shape = await self._full_sites.list_full(), console.preset.shape
        async with asyncio.TaskGroup() as group:
            asked = [
                (cloud, group.create_task(self._offers_of(cloud, shape)), group.create_task(cloud.health()))
                for cloud in clouds
            ]
        survey = _Survey([], [], set())
        for cloud, offers, health in asked:
            table = offers.result()
            if isinstance(table, ProviderError):
                survey.failed.append(cloud.name)
                if isinstance(table, ProviderSilentError):
                    survey.silent.add(cloud.name)
                continue
            if (cloud.name, EVERY_SITE) in full.sites or not health.result().configured:
                continue
            at_most = table.count_up_to(
                preferences[cloud.name].max_usd_per_hour, full.covered_usd_per_hour.get(cloud.name)
            )
            rows = np.arange(at_most)
            if skipped := _rows_of(table, full, cloud.name):
                rows = np.setdiff1d(rows, skipped, assume_unique=True)
            trouble = None
            if not health.result().healthy:
                trouble = f"{cloud.name} reports trouble, so other providers come first"
            if rows.size:
                survey.offers.append(CloudOffers(table, rows, list(preferences).index(cloud.name), trouble))
        return survey

    async def _offers_of(self, cloud: Provider, shape: Shape) -> OfferTable | ProviderError:
        """Return the offers of a cloud, or why there are none."""
        try:
            return await self._stock_tables.offers(cloud, await self._stock(cloud), shape)
        except ProviderError as error:
            log.warning("skipping failing provider", extra={"provider": cloud.name, "reason": error.message})
            return error

    async def _stock(self, cloud: Provider) -> Sequence[Site]:
        known = self._last_known.get(cloud.name)
        return await (cloud.sites() if known is None else known.get())

    async def _google_order(self, clouds: Sequence[CloudOffers], near: Position | None) -> RegionOrder | None:
        """Return the order around the Google region nearest to the player, which represents the player."""
        google = next((cloud for cloud in clouds if cloud.table.google_regions[0]), None)
        if near is None or google is None:
            return None
        nearest = google.rows[int(distances_in(google, near).argmin())]
        return await self._orders.regions_near(google.table.google_regions[nearest])


def _rows_of(table: OfferTable, full: Unavailable, cloud: ProviderName) -> list[int]:
    """Return the rows of the sites that are skipped now."""
    skipped = (table.row_of_site.get(site) for provider, site in full.sites if provider is cloud)
    return [row for row in skipped if row is not None]
