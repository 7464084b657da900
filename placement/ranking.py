"""Which sites a machine could be created at, best first: the clouds' stock, our geocoding and memory, then scoring."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from errors import NoPlacementError, ProviderDownError, ProviderError
from models.catalog import Console, ProviderPreference
from models.database import Database
from models.places import FullSite
from placement.geocoding import Geocoder
from placement.positions import Position
from placement.scoring import DEFAULT_WEIGHTS, Candidate, LocatedSite, RankedPlacement, Weights, ranked
from placement.words import price_words
from providers.base import Provider, ProviderHealth, ProviderName, Site, SiteId
from providers.registry import Registry

__all__ = ["FULL_FOR", "LocatedSite", "Placements", "RankedPlacement", "Weights"]

log = logging.getLogger(__name__)

FULL_FOR: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the clouds said, before position and price decide."""

    candidates: list[Candidate]
    failed: list[ProviderName]


class Placements:
    """Asks every cloud at once and waits for none longer than the cloud's own adapter does."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        geocoder: Geocoder,
        weights: Weights = DEFAULT_WEIGHTS,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._registry = registry
        self._geocoder = geocoder
        self._weights = weights
        self._now = now

    async def sites(self, provider: ProviderName) -> list[LocatedSite]:
        """Every site of one cloud, fit or not, online or not, in the cloud's own order. Raises the cloud's
        ProviderError, or ProviderDownError when it is not configured."""
        return await self._located(await self._registry.get(provider).sites())

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
        """Where this console's machine could be created now, in the order in which to try. Empty when nothing fits,
        is free, allowed and cheap enough.

        Without a position the price alone decides. Sites whose place is unknown come after all others, and clouds that
        report trouble after the healthy ones. A cloud that fails is passed over; ProviderDownError when that leaves
        nothing. `closest_first` orders by distance alone, for those who ask just that.
        """
        survey = await self._survey(console, provider)
        affordable = [c for c in survey.candidates if _within(c.offer.usd_per_hour, max_usd_per_hour)]
        if not affordable and survey.failed:
            raise ProviderDownError(f"{survey.failed[0]} cannot be used now", survey.failed[0])
        return ranked(affordable, near, self._weights, limit, closest_first)

    async def refusal(
        self, console: Console, *, provider: ProviderName | None = None, max_usd_per_hour: Decimal | None = None
    ) -> NoPlacementError:
        """The words for an empty ranking: too dear, with the lowest price there is, or nothing that fits."""
        survey = await self._survey(console, provider)
        if not survey.candidates or max_usd_per_hour is None:
            return NoPlacementError(f"no site has a machine for {console.name} free now")
        cheapest = min(candidate.offer.usd_per_hour for candidate in survey.candidates)
        return NoPlacementError(
            f"nothing for {console.name} costs at most {price_words(max_usd_per_hour)}; "
            f"the cheapest that fits is {price_words(cheapest)}",
            ("maxHourlyPrice",),
        )

    async def remember_full(self, provider: ProviderName, site_id: SiteId, reason: str) -> None:
        """All processes pass this site over for the next five minutes. May be repeated, which prolongs it."""
        now = self._now()
        await self._db.delete(FullSite, {"until": {"$lt": now}})
        await self._db.replace(
            FullSite(
                id=_full_key(provider, site_id),
                provider=provider,
                site_id=site_id,
                until=now + FULL_FOR,
                reason=reason[:256],
            )
        )

    async def _survey(self, console: Console, provider: ProviderName | None) -> _Survey:
        preferences = {preference.provider: preference for preference in console.providers if preference.enabled}
        asked_for = self._registry.all() if provider is None else [self._registry.get(provider)]
        clouds = [cloud for cloud in asked_for if cloud.name in preferences]
        full = await self._full_sites()
        async with asyncio.TaskGroup() as group:
            asked = [(c, group.create_task(self._sites_of(c)), group.create_task(c.health())) for c in clouds]
        survey = _Survey([], [])
        for cloud, sites, health in asked:
            if (located := sites.result()) is None:
                survey.failed.append(cloud.name)
                continue
            free = [one for one in located if one.site.online and _full_key(cloud.name, one.site.id) not in full]
            order = list(preferences).index(cloud.name)
            candidates = _candidates(cloud, free, console, preferences[cloud.name], order, health.result())
            survey.candidates.extend(candidates)
        return survey

    async def _sites_of(self, cloud: Provider) -> list[LocatedSite] | None:
        """None: this cloud let us down."""
        try:
            return await self._located(await cloud.sites())
        except ProviderError as error:
            log.warning("a cloud is passed over", extra={"provider": cloud.name, "reason": error.message})
            return None

    async def _located(self, sites: Iterable[Site]) -> list[LocatedSite]:
        sites = list(sites)
        known = await self._geocoder.locate(site.place for site in sites)
        return [
            LocatedSite(site, found.position, found.country_code, found.precision)
            if (found := known[site.place])
            else LocatedSite(site, None, None)
            for site in sites
        ]

    async def _full_sites(self) -> set[str]:
        return {full.id for full in await self._db.find(FullSite, {"until": {"$gt": self._now()}})}


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
    trouble = None if health.healthy else f"{cloud.name} reports trouble, so others come first"
    offers = ((one, cloud.offer(one.site, console.preset.shape)) for one in located)
    return [
        Candidate(one, offer, order, trouble)
        for one, offer in offers
        if offer is not None and _within(offer.usd_per_hour, preference.max_usd_per_hour)
    ]


def _within(usd_per_hour: Decimal, at_most: Decimal | None) -> bool:
    return at_most is None or usd_per_hour <= at_most


def _full_key(provider: ProviderName, site_id: str) -> str:
    return f"{provider}:{site_id}"
