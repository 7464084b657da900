"""Where machines can be created."""

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
from resolvers import catalog, places
from resolvers.pagination import Page
from schema.connections import PageInfo
from schema.enums import ConsoleType, ProviderName
from schema.ids import global_id
from schema.node import Info, Node


@strawberry.input(description="Degrees, WGS 84.")
class CoordinatesInput:
    latitude: float
    longitude: float

    def position(self, *path: str) -> Position:
        """Raises InvalidInputError that names the field. (0, 0), in the sea, is what a failed geolocation sends."""
        if self.latitude == 0 and self.longitude == 0:
            raise InvalidInputError("(0, 0) is what a failed geolocation sends: leave the place out instead", path)
        return Position.checked(self.latitude, self.longitude, path)


From = Annotated[CoordinatesInput, strawberry.argument(name="from")]
FromOrNowhere = Annotated[CoordinatesInput | None, strawberry.argument(name="from")]


@strawberry.type(description="Degrees, WGS 84.")
class Coordinates:
    latitude: float
    longitude: float


@strawberry.type(description="A place in the words of whoever runs the host; `coordinates` are our geocoding of them.")
class Location:
    city: str | None
    region: str | None
    country: str | None
    country_code: str | None = strawberry.field(description="ISO 3166-1 alpha-2.")
    coordinates: Coordinates | None

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
    id: strawberry.ID
    provider: ProviderName
    location: Location

    @strawberry.field(description="Great circle. Null when the place could not be geocoded.")
    def distance_km(self, from_: From) -> float | None:
        raise NotImplementedError


@strawberry.type(description="A GPU model at one site: how many are free, at what price in USD each.")
class Gpu:
    model: str
    vram_gb: int
    available: int
    hourly_price: Decimal

    @classmethod
    def of(cls, stock: providers.base.GpuStock) -> Gpu:
        return cls(model=stock.model, vram_gb=stock.vram_gb, available=stock.available, hourly_price=stock.usd_per_hour)


@strawberry.type(description="A TensorDock host, with what is free there now.")
class Hostnode(Node, Site):
    cpu_model: str | None
    vcpus_available: int
    ram_gb_available: int
    storage_gb_available: int
    gpus: list[Gpu]
    online: bool
    located: strawberry.Private[placement.ranking.LocatedSite]

    @strawberry.field(description="Great circle. Null when the place could not be geocoded.")
    def distance_km(self, from_: From) -> float | None:
        return self.located.distance_km(from_.position("from"))

    @strawberry.field(description="Whether this console's machine can be had here now.")
    async def fits(self, info: Info, console: ConsoleType) -> bool:
        return await self.hourly_price(info, console) is not None

    @strawberry.field(description="USD for this console's machine. Null when it does not fit.")
    async def hourly_price(self, info: Info, console: ConsoleType) -> Decimal | None:
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


@strawberry.type(description="One candidate for a launch. Their order is the order in which a launch tries them.")
class Placement:
    rank: int
    site: Site
    provider: ProviderName
    distance_km: float | None
    estimated_rtt_ms: float | None
    hourly_price: Decimal = strawberry.field(description="USD.")
    score: float = strawberry.field(description="Lower is better.")
    reasons: list[str]

    @classmethod
    def of(cls, ranked: placement.ranking.RankedPlacement) -> Placement:
        return cls(
            rank=ranked.rank,
            site=shown(ranked.located),
            provider=ranked.offer.provider,
            distance_km=ranked.distance_km,
            estimated_rtt_ms=ranked.estimated_rtt_ms,
            hourly_price=ranked.offer.usd_per_hour,
            score=ranked.score,
            reasons=list(ranked.reasons),
        )


@strawberry.type(description="The hosts of one city.")
class LocationSummary:
    country: str
    country_code: str | None
    city: str | None
    hostnodes: int
    gpus_available: int
    coordinates: Coordinates | None

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


@strawberry.type
class HostnodeEdge:
    cursor: str
    node: Hostnode


@strawberry.type
class HostnodeConnection:
    edges: list[HostnodeEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, page: Page[placement.ranking.LocatedSite]) -> HostnodeConnection:
        edges = [HostnodeEdge(cursor=c, node=Hostnode.of(h)) for c, h in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type
class PlaceQuery:
    @strawberry.field(description="TensorDock's hosts; with a console, those that have its machine free.")
    async def hostnodes(
        self, info: Info, console: ConsoleType | None = None, first: int | None = 50, after: str | None = None
    ) -> HostnodeConnection:
        return HostnodeConnection.of(await places.hostnodes(info.context, console, first, after))

    @strawberry.field(description="TensorDock's hosts by country and city.")
    async def locations(self, info: Info) -> list[LocationSummary]:
        return [LocationSummary.of(summary) for summary in await places.locations(info.context)]

    @strawberry.field(description="TensorDock's hosts that have this console's machine free, nearest first.")
    async def closest_hostnodes(
        self, info: Info, from_: From, console: ConsoleType, limit: int | None = 5
    ) -> list[Placement]:
        position = from_.position("from")
        return _placements(await places.closest_hostnodes(info.context, position, console, limit))

    @strawberry.field(description="Where a launch would try to create the machine, in this order.")
    async def placements(
        self,
        info: Info,
        console: ConsoleType,
        from_: FromOrNowhere = None,
        provider: ProviderName | None = None,
        limit: int | None = 10,
    ) -> list[Placement]:
        position = from_.position("from") if from_ else None
        return _placements(await places.placements(info.context, position, console, provider, limit))


def shown(located: placement.ranking.LocatedSite) -> Site:
    """As what it is at its cloud."""
    from schema.regions import Region  # noqa: PLC0415 - regions are sites, and have placements

    return Region.of(located) if located.site.provider is ProviderName.CLOUDYPAD else Hostnode.of(located)


def site_id(provider: ProviderName, key: str) -> strawberry.ID:
    """The global id of a site, known without asking the cloud for it."""
    return global_id({ProviderName.TENSORDOCK: "Hostnode", ProviderName.CLOUDYPAD: "Region"}[provider], key)


def _placements(ranked: Sequence[placement.ranking.RankedPlacement]) -> list[Placement]:
    return [Placement.of(each) for each in ranked]


def _coordinates(position: Position | None) -> Coordinates | None:
    return None if position is None else Coordinates(latitude=position.latitude, longitude=position.longitude)
