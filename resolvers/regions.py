"""Google Cloud regions in which CloudyPad can create machines."""

from __future__ import annotations

from auth.authorization import require
from models.catalog import ConsoleType
from placement.coordinates import Position
from placement.ranking import LocatedSite, RankedPlacement
from providers.base import ProviderName
from resolvers import places
from resolvers.context import Context


async def regions(context: Context, console: ConsoleType | None) -> list[LocatedSite]:
    """Return all regions; with a console, those that offer its machine."""
    require(context.caller, "Query.regions")
    sites = await context.services.placements.sites(ProviderName.CLOUDYPAD)
    if console is None:
        return sites
    wanted = await context.loaders.console.load(console)
    return [one for one in sites if places.usd_per_hour(context, one, wanted) is not None]


async def region_of(context: Context, key: str) -> LocatedSite | None:
    """Return a region by its name at Google."""
    require(context.caller, "Region")
    return await places.site(context, ProviderName.CLOUDYPAD, key)


async def closest_regions(
    context: Context, near: Position, console: ConsoleType, limit: int | None
) -> list[RankedPlacement]:
    """Return regions that offer this console's machine, by distance and the order of Google's network."""
    require(context.caller, "Query.closestRegions")
    return await places.closest(context, ProviderName.CLOUDYPAD, near, console, limit)


def carbon_free_percent(context: Context, region: str) -> float | None:
    """Return the share of carbon-free energy in percent, or None if Google does not publish it."""
    return context.services.placements.carbon_free_percent(region)
