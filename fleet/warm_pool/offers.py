"""Makes records of new machines for the warm pool from what the clouds offer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from errors import GatewayError, ProviderError
from fleet.warm_pool.budget import PREPARE_WITHIN
from fleet.warm_pool.forecast import Spot
from models.catalog import Console, ConsoleType
from models.launches import new_id
from models.vms import VmPlace
from models.warm_machines import WarmMachine
from placement.ranking import LocatedSite, Placements
from providers.base import Offer, PricePart, ProviderName
from providers.registry import Registry
from providers.tags import tag_of

log = logging.getLogger(__name__)


class Offers:
    """Makes records of machines from the clouds' offers. Each cloud is asked once."""

    def __init__(
        self,
        registry: Registry,
        placements: Placements,
        deployment: str,
        known: Mapping[ConsoleType, Console],
        launched: Mapping[ConsoleType, int],
    ) -> None:
        """Set up the offers. Of the consoles in `known`, the one that was launched most often decides on the setup."""
        self._registry = registry
        self._placements = placements
        self._deployment = deployment
        self._consoles = sorted(known.values(), key=lambda each: -launched.get(each.type, 0))
        self._sites: dict[ProviderName, dict[str, LocatedSite]] = {}

    async def machine_at(self, spot: Spot, now: datetime) -> WarmMachine | None:
        """Return a new record; None if the site has no such machine at a price that an operator allows."""
        console = next((each for each in self._consoles if _allows(each, spot)), None)
        site = (await self._sites_of(spot.provider)).get(spot.site_id)
        if console is None or site is None or not site.site.online:
            return None
        offer = self._registry.get(spot.provider).offer(site.site, console.preset.shape)
        most = next(each.max_usd_per_hour for each in console.providers if each.provider is spot.provider)
        if offer is None or (most is not None and offer.usd_per_hour > most):
            return None
        machine_id = new_id()
        return _record(machine_id, tag_of(self._deployment, machine_id), offer, site, console, now)

    async def _sites_of(self, provider: ProviderName) -> Mapping[str, LocatedSite]:
        if provider not in self._sites:
            self._sites[provider] = {each.site.id: each for each in await self._located_sites(provider)}
        return self._sites[provider]

    async def _located_sites(self, provider: ProviderName) -> list[LocatedSite]:
        """Return the sites of a cloud; none if it does not respond."""
        try:
            return await self._placements.sites(provider)
        except (ProviderError, GatewayError) as error:
            log.warning("no warm machines at a failing provider", extra={"provider": provider, "why": error.message})
            return []


def _allows(console: Console, spot: Spot) -> bool:
    enabled = {each.provider for each in console.providers if each.enabled}
    return console.preset.name is spot.preset and spot.provider in enabled


def _record(machine_id: str, tag: str, offer: Offer, site: LocatedSite, console: Console, now: datetime) -> WarmMachine:
    place, position = site.site.place, site.position
    egress = offer.usd_per_hour_for(PricePart.EGRESS)
    return WarmMachine(
        id=machine_id,
        tag=tag,
        provider=offer.provider,
        preset=console.preset.name,
        console=console.type,
        vcpus=offer.vcpus,
        ram_gb=offer.ram_gb,
        storage_gb=offer.storage_gb,
        gpu_model=offer.gpu_model,
        place=VmPlace(
            site_id=offer.site_id,
            city=place.city,
            region=place.region,
            country=place.country,
            country_code=site.country_code,
            latitude=None if position is None else position.latitude,
            longitude=None if position is None else position.longitude,
        ),
        usd_per_hour=offer.usd_per_hour - egress,
        usd_per_hour_stopped=offer.usd_per_hour_stopped,
        usd_per_hour_egress=egress,
        created_at=now,
        prepare_until=now + PREPARE_WITHIN,
    )
