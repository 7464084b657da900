"""Ranks the sites where a machine could be created: the clouds' stock, geocoding, unavailable sites, scoring."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from errors import NoPlacementError, ProviderDownError, ProviderError, ProviderSilentError, StockUnknownError
from models.catalog import Console, ProviderPreference
from models.database import Database
from placement.coordinates import Position
from placement.distance import distances_to
from placement.gazetteer import Located, Precision
from placement.geocoding import Geocoder
from placement.google_network_order import NetworkOrders, RegionOrder
from placement.reasons import price_words
from placement.scoring import DEFAULT_WEIGHTS, Candidate, LocatedSite, RankedPlacement, Weights, Wish, rank_candidates
from placement.unavailable_sites import EVERY_SITE, FullSites
from providers.base import Offer, Provider, ProviderHealth, ProviderName, Site, SiteId
from providers.google.regions import find_region
from providers.last_known import LastKnown
from providers.registry import Registry

__all__ = ["LocatedSite", "Placements", "RankedPlacement", "Weights"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Survey:
    """The clouds' offers before position and price are weighed."""

    candidates: list[Candidate]
    failed: list[ProviderName]
    silent: set[ProviderName]  # the failed ones that did not respond in time


class Placements:
    """Queries every cloud at once. Each adapter limits how long it takes."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        geocoder: Geocoder,
        weights: Weights = DEFAULT_WEIGHTS,
        orders: NetworkOrders | None = None,
    ) -> None:
        self._full_sites = FullSites(db)
        self._registry = registry
        self._geocoder = geocoder
        self._orders = orders or NetworkOrders(db)
        self._weights = weights
        self._last_known: Mapping[ProviderName, LastKnown[Sequence[Site]]] = {}

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
        return await self._locate(await self._stock(self._registry.get(provider)))

    async def rank(
        self,
        console: Console,
        near: Position | None,
        *,
        provider: ProviderName | None = None,
        max_usd_per_hour: Decimal | None = None,
        limit: int = 10,
        closest_first: bool = False,
    ) -> list[RankedPlacement]:
        """Return the placements for this console's machine, best first.

        The list is empty if no site fits, is available, is allowed and is cheap enough. Without a position the price
        alone decides. Sites at unknown places come last, and clouds that report trouble come after healthy ones. A
        failing cloud is skipped; ProviderDownError is raised if that leaves nothing. `closest_first` orders by distance
        alone.
        """
        survey = await self._survey(console, provider)
        affordable = [c for c in survey.candidates if _is_within(c.offer.usd_per_hour, max_usd_per_hour)]
        if not affordable and survey.silent:
            silent = min(survey.silent)
            raise StockUnknownError(f"{silent} does not respond now", silent)
        if not affordable and survey.failed:
            raise ProviderDownError(f"{survey.failed[0]} is not available now", survey.failed[0])
        order = await self._google_order(affordable, near)
        ranked = rank_candidates(affordable, Wish(near, limit, closest_first, order), self._weights)
        reason = console.unplayable_reason
        more = () if reason is None else (reason,)
        preset = console.preset.name
        return [replace(each, reasons=(*each.reasons, *more), preset=preset) for each in ranked]

    async def explain_empty(
        self, console: Console, *, provider: ProviderName | None = None, max_usd_per_hour: Decimal | None = None
    ) -> NoPlacementError:
        """Return the error for an empty ranking: nothing fits, or all is too expensive, with the lowest price."""
        survey = await self._survey(console, provider)
        if not survey.candidates or max_usd_per_hour is None:
            return NoPlacementError(f"no site has a machine for {console.name} available now")
        cheapest = min(candidate.offer.usd_per_hour for candidate in survey.candidates)
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
        full = await self._full_sites.list_full()
        async with asyncio.TaskGroup() as group:
            asked = [(c, group.create_task(self._sites_of(c)), group.create_task(c.health())) for c in clouds]
        survey = _Survey([], [], set())
        for cloud, sites, health in asked:
            located = sites.result()
            if isinstance(located, ProviderError):
                survey.failed.append(cloud.name)
                if isinstance(located, ProviderSilentError):
                    survey.silent.add(cloud.name)
                continue
            if (cloud.name, EVERY_SITE) in full.sites:
                continue
            free = [one for one in located if one.site.online and (cloud.name, one.site.id) not in full.sites]
            order = list(preferences).index(cloud.name)
            candidates = _candidates(cloud, free, console, preferences[cloud.name], order, health.result())
            covered = full.covered_usd_per_hour.get(cloud.name)
            survey.candidates.extend(each for each in candidates if _is_within(each.offer.usd_per_hour, covered))
        return survey

    async def _sites_of(self, cloud: Provider) -> list[LocatedSite] | ProviderError:
        """Return the sites of a cloud, or why there are none."""
        try:
            return await self._locate(await self._stock(cloud))
        except ProviderError as error:
            log.warning("skipping failing provider", extra={"provider": cloud.name, "reason": error.message})
            return error

    async def _stock(self, cloud: Provider) -> Sequence[Site]:
        known = self._last_known.get(cloud.name)
        return await (cloud.sites() if known is None else known.get())

    async def _google_order(self, candidates: Sequence[Candidate], near: Position | None) -> RegionOrder | None:
        """Return the order around the Google region nearest to the player, which represents the player."""
        regions = [candidate for candidate in candidates if candidate.google_region]
        if near is None or not regions:
            return None
        distances = distances_to(near, [candidate.located.position for candidate in regions])
        return await self._orders.regions_near(regions[int(distances.argmin())].google_region)

    async def _locate(self, sites: Sequence[Site]) -> list[LocatedSite]:
        located = {site.id: _on_google(site) for site in sites}
        elsewhere = {site.place for site in sites if located[site.id] is None}
        known = await self._geocoder.locate(elsewhere) if elsewhere else {}
        return [located[site.id] or _from_geocoding(site, known[site.place]) for site in sites]


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


def _candidates(
    cloud: Provider,
    located: Sequence[LocatedSite],
    console: Console,
    preference: ProviderPreference,
    order: int,
    health: ProviderHealth,
) -> list[Candidate]:
    if not health.configured:
        return []
    trouble = None if health.healthy else f"{cloud.name} reports trouble, so other providers come first"
    offers = ((one, cloud.offer(one.site, console.preset.shape)) for one in located)
    return [
        Candidate(one, offer, order, trouble)
        for one, offer in offers
        if offer is not None and _is_within(offer.usd_per_hour, preference.max_usd_per_hour)
    ]


def _is_within(usd_per_hour: Decimal, at_most: Decimal | None) -> bool:
    return at_most is None or usd_per_hour <= at_most
