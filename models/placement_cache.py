"""What placement remembers: where a host-typed place name lies, and which sites were full a moment ago."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Index, Model

from providers.base import ProviderName


class GeocodedPlace(Model):
    """A place name's coordinates (degrees, WGS 84). Coordinates of None: looked for and not found."""

    id: str = Field(primary_field=True)  # "city|region|country", as the host typed it
    latitude: float | None = None
    longitude: float | None = None
    country_code: str | None = None
    precision: str | None = None  # "town", "region" or "country": how much of the name was understood
    source: str  # "gazetteer" or "nominatim"
    at: datetime

    model_config = {"collection": "geocoded_places"}


class FullSite(Model):
    """A site that refused for lack of capacity. All processes pass it over until `until`."""

    id: str = Field(primary_field=True)  # "<provider>:<site>"
    provider: ProviderName
    site_id: str
    until: datetime
    reason: str

    model_config = {"collection": "full_sites", "indexes": lambda: [Index(FullSite.until, name="full_sites_by_end")]}


class NetworkOrder(Model):
    """The order in which Google's network reaches its regions from one of them. Asked seldom, kept for days."""

    id: str = Field(primary_field=True)  # the region in the middle
    regions: list[str]  # nearest first, the middle left out
    carbon_free_percent: dict[str, float]  # of those of which Google tells it
    at: datetime

    model_config = {"collection": "network_orders"}
