"""Machines."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import strawberry

import models.vms
from billing.amounts import tidy
from models.catalog import PRESETS
from resolvers import catalog, launches, places, vms
from resolvers.pagination import Page
from schema.catalog import Console, Preset
from schema.connections import PageInfo
from schema.enums import ProviderName, VMStatus
from schema.ids import global_id, key_of
from schema.node import Info, Node
from schema.places import Location, Site, shown

if TYPE_CHECKING:
    from schema.launches import Launch

# Wolf's ports for GameStream on the machine itself.
_HTTPS_PORT: Final = 47984
_HTTP_PORT: Final = 47989
_RTSP_PORT: Final = 48010


@strawberry.type(description="What a Moonlight client connects to. The ports are those outside.")
class StreamEndpoint:
    host: str
    https_port: int
    http_port: int
    rtsp_port: int
    paired: bool

    @classmethod
    def of(cls, vm: models.vms.Vm) -> StreamEndpoint | None:
        if vm.ip_address is None or vm.status is not VMStatus.RUNNING:
            return None
        return cls(
            host=vm.ip_address,
            https_port=vm.port(_HTTPS_PORT),
            http_port=vm.port(_HTTP_PORT),
            rtsp_port=vm.port(_RTSP_PORT),
            paired=vm.paired,
        )


@strawberry.type(name="VM", description="A rented gaming machine.")
class VM(Node):
    name: str = strawberry.field(description="Its name at the cloud.")
    provider: ProviderName
    provider_id: str | None
    status: VMStatus
    user_id: str
    game_id: str | None
    preset: Preset
    location: Location
    ip_address: str | None
    stream: StreamEndpoint | None
    hourly_price: Decimal = strawberry.field(description="USD while it runs.")
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None
    last_activity_at: datetime | None
    stops_at: datetime | None = strawberry.field(description="When the session limit ends it, whatever happens.")
    warning: str | None = strawberry.field(description="What the player should know now, such as a stop that is near.")
    document: strawberry.Private[models.vms.Vm]

    @strawberry.field
    async def console(self, info: Info) -> Console:
        return Console.of(await catalog.console(info.context, self.document.console))

    @strawberry.field(description="As its cloud lists it now. Null when it does not.")
    async def site(self, info: Info) -> Site | None:
        found = await places.site(info.context, self.document.provider, self.document.place.site_id)
        return None if found is None else shown(found)

    @strawberry.field(description="USD up to now, by our own meter.")
    async def cost_so_far(self, info: Info) -> Decimal:
        return tidy((await info.context.loaders.usage.load(self.document.id)).cost_usd)

    @strawberry.field(description="How long it has run in all.")
    async def running_seconds(self, info: Info) -> int:
        return (await info.context.loaders.usage.load(self.document.id)).running_seconds

    @strawberry.field(description="The launch that rented it.")
    async def launch(self, info: Info) -> Annotated[Launch, strawberry.lazy("schema.launches")] | None:
        from schema.launches import Launch  # noqa: PLC0415 - the two types name each other

        found = await launches.launch_of(info.context, self.document.launch_id)
        return None if found is None else Launch.of(found)

    @strawberry.field(
        description="The launch that carries its game and saves over to another machine, because a start found this "
        "one's hardware given away."
    )
    async def replacement(self, info: Info) -> Annotated[Launch, strawberry.lazy("schema.launches")] | None:
        from schema.launches import Launch  # noqa: PLC0415 - the two types name each other

        launch_id = self.document.replacement_launch_id
        found = None if launch_id is None else await launches.launch_of(info.context, launch_id)
        return None if found is None else Launch.of(found)

    @classmethod
    def of(cls, vm: models.vms.Vm) -> VM:
        return cls(
            id=global_id("VM", vm.id),
            name=vm.tag,
            provider=vm.provider,
            provider_id=vm.provider_id,
            status=vm.status,
            user_id=vm.user_id,
            game_id=vm.game_id,
            preset=Preset.of(PRESETS[vm.preset]),
            location=Location.of_vm(vm.place),
            ip_address=vm.ip_address,
            stream=StreamEndpoint.of(vm),
            hourly_price=vm.usd_per_hour,
            created_at=vm.created_at,
            started_at=vm.started_at,
            stopped_at=vm.stopped_at,
            last_activity_at=vm.last_activity_at,
            stops_at=vm.stops_at,
            warning=vm.warnings,
            document=vm,
        )


@strawberry.type(name="VMEdge")
class VMEdge:
    cursor: str
    node: VM


@strawberry.type(name="VMConnection")
class VMConnection:
    edges: list[VMEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, page: Page[models.vms.Vm]) -> VMConnection:
        edges = [VMEdge(cursor=c, node=VM.of(vm)) for c, vm in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type
class VmQuery:
    @strawberry.field(description="Null alike for an unknown VM and somebody else's.")
    async def vm(self, info: Info, id: strawberry.ID) -> VM | None:
        found = await vms.vm(info.context, key_of("VM", id))
        return None if found is None else VM.of(found)

    @strawberry.field(description="Newest first. `userId` is for services and operators.")
    async def vms(
        self,
        info: Info,
        status: list[VMStatus] | None = None,
        user_id: str | None = None,
        first: int | None = 50,
        after: str | None = None,
    ) -> VMConnection:
        return VMConnection.of(await vms.vms(info.context, status, user_id, first, after))


@strawberry.type
class VmSubscription:
    @strawberry.subscription(description="The VM now, then whenever it changes. Completes when it is deleted.")
    async def vm_status(self, info: Info, vm_id: strawberry.ID) -> AsyncGenerator[VM, None]:
        return _shown(await vms.vm_status(info.context, key_of("VM", vm_id)))


async def _shown(states: AsyncGenerator[models.vms.Vm, None]) -> AsyncGenerator[VM, None]:
    async with aclosing(states):
        async for vm in states:
            yield VM.of(vm)
