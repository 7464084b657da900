"""Google Cloud's regions."""

from __future__ import annotations

from decimal import Decimal

import strawberry

import placement.ranking
import providers.google.regions
from resolvers import catalog, places, regions
from schema.enums import ConsoleType
from schema.node import Info, Node
from schema.places import From, Location, Placement, Site, site_id


@strawberry.type(
    description="A region of Google Cloud, where CloudyPad makes machines. Google tells nobody how many are free."
)
class Region(Node, Site):
    name: str
    continent: str
    zones: list[str] = strawberry.field(description="Those with a GPU that can play.")
    gpu_models: list[str] = strawberry.field(description="Those with graphics that Google still supports.")
    located: strawberry.Private[placement.ranking.LocatedSite]

    @strawberry.field(description="Great circle, to its city.")
    def distance_km(self, from_: From) -> float | None:
        return self.located.distance_km(from_.position("from"))

    @strawberry.field(description="Google's word where Location Finder told it, else its table of 2024; null: unknown.")
    def carbon_free_energy_percent(self, info: Info) -> float | None:
        return regions.carbon_free_percent(info.context, self.name)

    @strawberry.field(description="Whether this console's machine is offered here. Whether one is free shows in time.")
    async def fits(self, info: Info, console: ConsoleType) -> bool:
        return await self.hourly_price(info, console) is not None

    @strawberry.field(description="USD for this console's machine, traffic included. Null when it does not fit.")
    async def hourly_price(self, info: Info, console: ConsoleType) -> Decimal | None:
        return places.usd_per_hour(info.context, self.located, await catalog.console(info.context, console))

    @classmethod
    def of(cls, located: placement.ranking.LocatedSite) -> Region:
        site = located.site
        known = providers.google.regions.regions()[site.id]
        return cls(
            id=site_id(site.provider, site.id),
            provider=site.provider,
            location=Location.of_site(located),
            name=site.id,
            continent=known.continent,
            zones=list(known.zones),
            gpu_models=[stock.model for stock in site.gpus],
            located=located,
        )


@strawberry.type
class RegionQuery:
    @strawberry.field(description="Google Cloud's regions; with a console, those that offer its machine.")
    async def regions(self, info: Info, console: ConsoleType | None = None) -> list[Region]:
        return [Region.of(located) for located in await regions.regions(info.context, console)]

    @strawberry.field(description="Google's regions that offer this console's machine, nearest first.")
    async def closest_regions(
        self, info: Info, from_: From, console: ConsoleType, limit: int | None = 5
    ) -> list[Placement]:
        found = await regions.closest_regions(info.context, from_.position("from"), console, limit)
        return [Placement.of(each) for each in found]
