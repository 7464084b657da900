"""Google Cloud's regions."""

from __future__ import annotations

from decimal import Decimal

import strawberry

import placement.ranking
import providers.google.regions
from resolvers import catalog, places, regions
from schema.arguments import FittingConsole, MachineConsole
from schema.cache_control import SHARED_AS_PARENT, shared_for
from schema.node import Info, Node
from schema.places import Closest, From, Location, Placement, Site, site_id


@strawberry.type(
    description="A Google Cloud region, where CloudyPad creates machines. Google does not publish how many "
    "machines are free."
)
class Region(Node, Site):
    name: str = strawberry.field(description="Google's name of the region, such as `europe-west1`.")
    continent: str = strawberry.field(description="The continent.")
    zones: list[str] = strawberry.field(description="The zones of the region that have a GPU suitable for games.")
    gpu_models: list[str] = strawberry.field(
        description="The GPU models of the region that Google still supports for graphics."
    )
    located: strawberry.Private[placement.ranking.LocatedSite]

    @strawberry.field(
        description="The great-circle distance to the region's city in kilometres.", metadata=SHARED_AS_PARENT
    )
    def distance_km(self, from_: From) -> float | None:
        return self.located.distance_km(from_.position("from"))

    @strawberry.field(
        description="The share of carbon-free energy in percent: Google's current figure, or that of 2024 where there "
        "is none. Null if unknown.",
        metadata=SHARED_AS_PARENT,
    )
    def carbon_free_energy_percent(self, info: Info) -> float | None:
        return regions.carbon_free_percent(info.context, self.name)

    @strawberry.field(
        description="Whether the region offers the machine of a console. Whether one is free shows only when it is "
        "rented.",
        metadata=SHARED_AS_PARENT,
    )
    async def fits(self, info: Info, console: MachineConsole) -> bool:
        return await self.hourly_price(info, console) is not None

    @strawberry.field(
        description="The price per hour of a console's machine here, in USD, with estimated traffic. Null if the "
        "machine is not offered.",
        metadata=SHARED_AS_PARENT,
    )
    async def hourly_price(self, info: Info, console: MachineConsole) -> Decimal | None:
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
    @strawberry.field(description="List Google Cloud's regions.", metadata=shared_for(60))
    async def regions(self, info: Info, console: FittingConsole = None) -> list[Region]:
        return [Region.of(located) for located in await regions.regions(info.context, console)]

    @strawberry.field(
        description="List the Google Cloud regions that offer a console's machine, nearest first, whatever the price."
    )
    async def closest_regions(
        self, info: Info, from_: From, console: MachineConsole, limit: Closest = 5
    ) -> list[Placement]:
        found = await regions.closest_regions(info.context, from_.position("from"), console, limit)
        return [Placement.of(each) for each in found]
