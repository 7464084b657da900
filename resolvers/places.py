"""Sites and placements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from auth.authorization import require
from models.catalog import Console, ConsoleType
from placement.coordinates import Position
from placement.measured_rtt import RttProbe
from placement.ranking import LocatedSite, RankedPlacement
from placement.scoring import SiteKey
from placement.summaries import LocationSummary, summarize
from providers.base import ProviderName
from resolvers.context import Context
from resolvers.pagination import Page, page_of, page_size, read_cursor

_HOSTNODES = "hostnodes"


async def hostnodes(
    context: Context, console: ConsoleType | None, first: int | None, after: str | None
) -> Page[LocatedSite]:
    """Return TensorDock's hosts; with a console, only those that have its machine free."""
    require(context.caller, "Query.hostnodes")
    page_size(first)
    if after is not None:
        read_cursor(_HOSTNODES, after)
    sites = await context.services.placements.sites(ProviderName.TENSORDOCK)
    if console is not None:
        wanted = await context.loaders.console.load(console)
        sites = [one for one in sites if usd_per_hour(context, one, wanted) is not None]
    return page_of(sites, lambda one: one.site.id, _HOSTNODES, first, after)


async def hostnode_of(context: Context, key: str) -> LocatedSite | None:
    """Return a host by TensorDock's own id."""
    require(context.caller, "Hostnode")
    return await site(context, ProviderName.TENSORDOCK, key)


async def site(context: Context, provider: ProviderName, site_id: str) -> LocatedSite | None:
    """Return a site, or None if the cloud does not list it or is not configured."""
    if not context.services.registry.is_configured(provider):
        return None
    return (await context.loaders.sites.load(provider)).get(site_id)


async def sites_of(
    context: Context, keys: Sequence[tuple[ProviderName, str]]
) -> Mapping[tuple[ProviderName, str], LocatedSite | Exception | None]:
    """Return sites, as `site` does for one."""
    configured = context.services.registry.is_configured
    listed = await context.loaders.sites.load_all({provider for provider, _ in keys if configured(provider)})
    return {key: _at(listed.get(key[0]), key[1]) for key in keys}


def _at(listed: Mapping[str, LocatedSite] | Exception | None, site_id: str) -> LocatedSite | Exception | None:
    return listed.get(site_id) if isinstance(listed, Mapping) else listed


def usd_per_hour(context: Context, located: LocatedSite, console: Console) -> Decimal | None:
    """Return the price of this console's machine at a site; None if it does not fit or the site is offline."""
    if not located.site.online:
        return None
    offer = context.services.registry.get(located.site.provider).offer(located.site, console.preset.shape)
    return None if offer is None else offer.usd_per_hour


async def locations(context: Context) -> list[LocationSummary]:
    """Return TensorDock's hosts summed up by country and city."""
    require(context.caller, "Query.locations")
    sites = await context.services.placements.sites(ProviderName.TENSORDOCK)
    return summarize(sites)


async def closest_hostnodes(
    context: Context, near: Position, console: ConsoleType, limit: int | None
) -> list[RankedPlacement]:
    """Return TensorDock's hosts that have this console's machine free, by distance alone."""
    require(context.caller, "Query.closestHostnodes")
    return await closest(context, ProviderName.TENSORDOCK, near, console, limit)


async def closest(
    context: Context, provider: ProviderName, near: Position, console: ConsoleType, limit: int | None
) -> list[RankedPlacement]:
    """Return one cloud's placements, nearest first; five without a limit. The caller has checked access."""
    return await context.services.placements.rank(
        await context.loaders.console.load(console),
        near,
        provider=provider,
        limit=page_size(limit, "limit", 5),
        closest_first=True,
    )


async def placements(
    context: Context,
    console: ConsoleType,
    near: Position | None,
    provider: ProviderName | None,
    limit: int | None,
    measured: Mapping[SiteKey, float],
) -> list[RankedPlacement]:
    """Return placements in the order in which a launch would try them."""
    require(context.caller, "Query.placements")
    return await context.services.placements.rank(
        await context.loaders.console.load(console),
        near,
        provider=provider,
        limit=page_size(limit, "limit", 10),
        measured=measured,
    )


def rtt_probes(context: Context) -> Sequence[RttProbe]:
    """Return the endpoints that players may measure; none unless the operator has set some."""
    require(context.caller, "Query.rttProbes")
    return context.services.rtt_probes
