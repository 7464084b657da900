"""Sites, and the placements that launches choose from."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import strawberry

import models.vms
import placement.ranking
import placement.summaries
import providers.base
from errors import InvalidInputError
from placement.coordinates import Position
from placement.measured_rtt import clamp_measured
from placement.scoring import SiteKey
from providers.base import SiteId
from resolvers import catalog, launch_times, places
from resolvers.pagination import Page
from schema.arguments import After, First, FittingConsole, MachineConsole, OneProvider
from schema.cache_control import SHARED_AS_PARENT, shared_for
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import ProviderName
from schema.ids import global_id, parts
from schema.launch_times import PlayableIn
from schema.node import Info, Node


@strawberry.input(description="A position on Earth, in degrees, WGS 84.")
class CoordinatesInput:
    latitude: float = strawberry.field(description="Degrees north of the equator: -90 to 90.")
    longitude: float = strawberry.field(description="Degrees east of Greenwich: -180 to 180.")

    def position(self, *path: str) -> Position:
        """Return the position. Raise InvalidInputError for values out of range and for (0, 0), a failed geolocation."""
        if self.latitude == 0 and self.longitude == 0:
            raise InvalidInputError(
                "(0, 0) usually comes from a failed geolocation; omit the position if it is unknown", path
            )
        return Position.create(self.latitude, self.longitude, path)


@strawberry.input(description="A network round trip that the player's device measured.")
class MeasuredRttInput:
    site_id: strawberry.ID = strawberry.field(description="The global id of the site.")
    rtt_ms: float = strawberry.field(
        description="The round trip in milliseconds: more than 0, at most 60000. Values are clamped to 1 to 1000."
    )


MeasuredRtt = Annotated[
    list[MeasuredRttInput] | None,
    strawberry.argument(
        description="Round trips that the player's device measured, at most 100. They replace the estimates of these "
        "sites in the ranking."
    ),
]
From = Annotated[CoordinatesInput, strawberry.argument(name="from", description="The player's position.")]
FromOrNowhere = Annotated[
    CoordinatesInput | None,
    strawberry.argument(
        name="from", description="The player's position. Null: the order follows the price alone, cheapest first."
    ),
]
Closest = Annotated[int | None, strawberry.argument(description="How many sites to return: 1 to 100. Null: 5.")]


@strawberry.type(description="A position on Earth, in degrees, WGS 84.")
class Coordinates:
    latitude: float = strawberry.field(description="Degrees north of the equator: -90 to 90.")
    longitude: float = strawberry.field(description="Degrees east of Greenwich: -180 to 180.")


@strawberry.type(description="A place as its cloud names it, with our geocoding.")
class Location:
    city: str | None = strawberry.field(description="The city. Null if the cloud does not name one.")
    region: str | None = strawberry.field(
        description="The state, province or region. Null if the cloud does not name one."
    )
    country: str | None = strawberry.field(description="The country. Null if the cloud does not name one.")
    country_code: str | None = strawberry.field(
        description="The country's ISO 3166-1 alpha-2 code. Null if it could not be determined."
    )
    coordinates: Coordinates | None = strawberry.field(
        description="The position of the city, region or country. Null if the place could not be geocoded."
    )

    @classmethod
    def of_site(cls, located: placement.ranking.LocatedSite) -> Location:
        place, position = located.site.place, located.position
        return cls(
            city=place.city or None,
            region=place.region or None,
            country=place.country or None,
            country_code=located.country_code,
            coordinates=_coordinates(position),
        )

    @classmethod
    def of_vm(cls, place: models.vms.VmPlace) -> Location:
        known = None
        if place.latitude is not None and place.longitude is not None:
            known = Coordinates(latitude=place.latitude, longitude=place.longitude)
        return cls(
            city=place.city or None,
            region=place.region or None,
            country=place.country or None,
            country_code=place.country_code,
            coordinates=known,
        )


@strawberry.interface(description="A place where a machine can be created.")
class Site:
    id: strawberry.ID = strawberry.field(
        description="The global id: opaque, unique across all types, and accepted by `Query.node`."
    )
    provider: ProviderName = strawberry.field(description="The cloud that the site belongs to.")
    location: Location = strawberry.field(description="Where the site is.")

    @strawberry.field(
        description="The great-circle distance to the site in kilometres. Null if the site could not be geocoded.",
        metadata=SHARED_AS_PARENT,
    )
    def distance_km(self, from_: From) -> float | None:
        raise NotImplementedError


@strawberry.type(description="A GPU model at one site.")
class Gpu:
    model: str = strawberry.field(description="The cloud's id of the model.")
    vram_gb: int = strawberry.field(description="Video memory in GB.")
    available: int = strawberry.field(description="How many are free now.")
    hourly_price: Decimal = strawberry.field(description="The price of one GPU per hour, in USD.")

    @classmethod
    def of(cls, stock: providers.base.GpuStock) -> Gpu:
        return cls(model=stock.model, vram_gb=stock.vram_gb, available=stock.available, hourly_price=stock.usd_per_hour)


@strawberry.type(description="A TensorDock host, with the resources that are free on it now.")
class Hostnode(Node, Site):
    cpu_model: str | None = strawberry.field(description="The CPU model. Null if TensorDock does not name it.")
    vcpus_available: int = strawberry.field(description="The number of free virtual CPUs.")
    ram_gb_available: int = strawberry.field(description="Free memory in GB.")
    storage_gb_available: int = strawberry.field(description="Free disk space in GB.")
    gpus: list[Gpu] = strawberry.field(description="The GPU models of the host.")
    online: bool = strawberry.field(description="Whether the host is online. An offline host cannot create machines.")
    located: strawberry.Private[placement.ranking.LocatedSite]

    @strawberry.field(
        description="The great-circle distance to the host in kilometres. Null if its place could not be geocoded.",
        metadata=SHARED_AS_PARENT,
    )
    def distance_km(self, from_: From) -> float | None:
        return self.located.distance_km(from_.position("from"))

    @strawberry.field(description="Whether the host has the machine of a console free now.", metadata=SHARED_AS_PARENT)
    async def fits(self, info: Info, console: MachineConsole) -> bool:
        return await self.hourly_price(info, console) is not None

    @strawberry.field(
        description="The price per hour of a console's machine here, in USD. Null if the machine does not fit.",
        metadata=SHARED_AS_PARENT,
    )
    async def hourly_price(self, info: Info, console: MachineConsole) -> Decimal | None:
        return places.usd_per_hour(info.context, self.located, await catalog.console(info.context, console))

    @classmethod
    def of(cls, located: placement.ranking.LocatedSite) -> Hostnode:
        site = located.site
        return cls(
            id=site_id(site.provider, site.id),
            provider=site.provider,
            location=Location.of_site(located),
            cpu_model=site.cpu_model,
            vcpus_available=site.vcpus_available,
            ram_gb_available=site.ram_gb_available,
            storage_gb_available=site.storage_gb_available,
            gpus=[Gpu.of(stock) for stock in site.gpus],
            online=site.online,
            located=located,
        )


@strawberry.type(
    description="A site where a launch could create its machine. Launches try placements in order of rank."
)
class Placement:
    rank: int = strawberry.field(description="The place in the order, from 1.")
    site: Site = strawberry.field(description="The site.")
    provider: ProviderName = strawberry.field(description="The cloud that the site belongs to.")
    distance_km: float | None = strawberry.field(
        description="The great-circle distance to the player in kilometres. Null if either position is unknown."
    )
    estimated_rtt_ms: float | None = strawberry.field(
        description="The estimated network round trip to the player in milliseconds. Null if the distance is unknown."
    )
    measured_rtt_ms: float | None = strawberry.field(
        description="The round trip that the player's device measured, in milliseconds, as far as it was sent. The "
        "score uses it instead of the estimate."
    )
    hourly_price: Decimal = strawberry.field(description="The price per hour of the machine, in USD.")
    score: float = strawberry.field(
        description="The score that the order follows, made of round trip and price. Lower is better."
    )
    reasons: list[str] = strawberry.field(description="Why the placement has this rank, in sentences for the player.")
    ranked: strawberry.Private[placement.ranking.RankedPlacement]

    @strawberry.field(
        description="When a game would be playable here, on a machine of the warm pool if one is ready, else on a new "
        "one. Null if nothing is known."
    )
    async def playable_in(self, info: Info) -> PlayableIn | None:
        promise = await launch_times.playable_in(info.context, self.ranked)
        return None if promise is None else PlayableIn.of(promise)

    @classmethod
    def of(cls, ranked: placement.ranking.RankedPlacement) -> Placement:
        return cls(
            rank=ranked.rank,
            site=site_of(ranked.located),
            provider=ranked.offer.provider,
            distance_km=ranked.distance_km,
            estimated_rtt_ms=ranked.estimated_rtt_ms,
            measured_rtt_ms=ranked.measured_rtt_ms,
            hourly_price=ranked.offer.usd_per_hour,
            score=ranked.score,
            reasons=list(ranked.reasons),
            ranked=ranked,
        )


@strawberry.type(description="An endpoint to which a player's device may measure the round trip.")
class RttProbe:
    site_id: strawberry.ID = strawberry.field(description="The global id of the site that the endpoint stands for.")
    url: str = strawberry.field(description="The address. A GET request to it has an answer without content.")


@strawberry.type(description="The TensorDock hosts of one city.")
class LocationSummary:
    country: str = strawberry.field(description="The country as TensorDock names it.")
    country_code: str | None = strawberry.field(
        description="The country's ISO 3166-1 alpha-2 code. Null if it could not be determined."
    )
    city: str | None = strawberry.field(description="The city. Null if TensorDock does not name one.")
    hostnodes: int = strawberry.field(description="The number of hosts, including offline ones.")
    gpus_available: int = strawberry.field(description="The number of free GPUs at hosts that are online.")
    coordinates: Coordinates | None = strawberry.field(
        description="The position of the city. Null if it could not be geocoded."
    )

    @classmethod
    def of(cls, summary: placement.summaries.LocationSummary) -> LocationSummary:
        return cls(
            country=summary.country,
            country_code=summary.country_code,
            city=summary.city,
            hostnodes=summary.hostnodes,
            gpus_available=summary.gpus_available,
            coordinates=_coordinates(summary.position),
        )


@strawberry.type(description="One host in a page, with its cursor.")
class HostnodeEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: Hostnode = strawberry.field(description=NODE)


@strawberry.type(description="A page of hosts.")
class HostnodeConnection:
    edges: list[HostnodeEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[placement.ranking.LocatedSite]) -> HostnodeConnection:
        edges = [HostnodeEdge(cursor=c, node=Hostnode.of(h)) for c, h in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type
class PlaceQuery:
    @strawberry.field(description="List TensorDock's hosts.", metadata=shared_for(5))
    async def hostnodes(
        self, info: Info, console: FittingConsole = None, first: First = 50, after: After = None
    ) -> HostnodeConnection:
        return HostnodeConnection.of(await places.hostnodes(info.context, console, first, after))

    @strawberry.field(description="List TensorDock's hosts summed up by country and city.", metadata=shared_for(5))
    async def locations(self, info: Info) -> list[LocationSummary]:
        return [LocationSummary.of(summary) for summary in await places.locations(info.context)]

    @strawberry.field(
        description="List the TensorDock hosts that have a console's machine free, nearest first, whatever the price."
    )
    async def closest_hostnodes(
        self, info: Info, from_: From, console: MachineConsole, limit: Closest = 5
    ) -> list[Placement]:
        position = from_.position("from")
        return _placements(await places.closest_hostnodes(info.context, position, console, limit))

    @strawberry.field(
        description="List where a launch would try to create its machine, in the order in which it would try."
    )
    async def placements(
        self,
        info: Info,
        console: MachineConsole,
        from_: FromOrNowhere = None,
        provider: OneProvider = None,
        limit: Annotated[
            int | None, strawberry.argument(description="How many placements to return: 1 to 100. Null: 10.")
        ] = 10,
        measured_rtt: MeasuredRtt = None,
    ) -> list[Placement]:
        position = from_.position("from") if from_ else None
        measured = measured_by_site(measured_rtt)
        return _placements(await places.placements(info.context, console, position, provider, limit, measured))

    @strawberry.field(
        description="List the endpoints to which a player's device may measure round trips. Empty unless the operator "
        "has set some.",
        metadata=shared_for(60),
    )
    def rtt_probes(self, info: Info) -> list[RttProbe]:
        return [RttProbe(site_id=site_id(*each.site), url=each.url) for each in places.rtt_probes(info.context)]


def site_of(located: placement.ranking.LocatedSite) -> Site:
    """Return a site as the type of its cloud."""
    from schema.regions import Region  # noqa: PLC0415 - the two modules import each other

    return Region.of(located) if located.site.provider is ProviderName.CLOUDYPAD else Hostnode.of(located)


def site_id(provider: ProviderName, key: str) -> strawberry.ID:
    """Return the global id of a site, without a request to its cloud."""
    return global_id({ProviderName.TENSORDOCK: "Hostnode", ProviderName.CLOUDYPAD: "Region"}[provider], key)


def measured_by_site(sent: Sequence[MeasuredRttInput] | None) -> dict[SiteKey, float]:
    """Return measured round trips by site. Raise InvalidInputError as `clamp_measured` does."""
    return clamp_measured((_site_key(each.site_id), each.rtt_ms) for each in sent or ())


def _site_key(global_id_: strawberry.ID) -> SiteKey | None:
    type_name, key = parts(global_id_) or ("", "")
    provider = {"Hostnode": ProviderName.TENSORDOCK, "Region": ProviderName.CLOUDYPAD}.get(type_name)
    return None if provider is None else (provider, SiteId(key))


def _placements(ranked: Sequence[placement.ranking.RankedPlacement]) -> list[Placement]:
    return [Placement.of(each) for each in ranked]


def _coordinates(position: Position | None) -> Coordinates | None:
    return None if position is None else Coordinates(latitude=position.latitude, longitude=position.longitude)
