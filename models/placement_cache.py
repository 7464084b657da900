"""Placement's caches: positions of host-typed place names, and sites without capacity."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from odmantic import Field, Index, Model

from providers.base import ProviderName


class GeocodedPlace(Model):
    """Coordinates of a place name (degrees, WGS 84). None means that the lookup found nothing."""

    id: str = Field(primary_field=True)  # "city|region|country", as the host typed it
    latitude: float | None = None
    longitude: float | None = None
    country_code: str | None = None
    precision: str | None = None  # "town", "region" or "country": which part of the name was recognized
    source: str  # "gazetteer" or "nominatim"
    at: datetime

    model_config = {"collection": "geocoded_places"}


class FullSite(Model):
    """A site without capacity, or a whole cloud. All processes skip it until `until`."""

    id: str = Field(primary_field=True)  # "<provider>:<site>"
    provider: ProviderName
    site_id: str
    until: datetime
    reason: str
    covers_usd_per_hour: Decimal | None = None  # offers up to this price are not skipped

    model_config = {"collection": "full_sites", "indexes": lambda: [Index(FullSite.until, name="full_sites_by_end")]}


class NetworkOrder(Model):
    """The order of Google's regions by network distance from one of them. Cached for days."""

    id: str = Field(primary_field=True)  # the central region
    regions: list[str]  # nearest first, without the central region
    carbon_free_percent: dict[str, float]  # of the regions for which Google publishes it
    at: datetime

    model_config = {"collection": "network_orders"}
