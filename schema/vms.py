"""VMs: types, queries and the status subscription."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import strawberry

import models.launches
import models.vms
from billing.amounts import tidy
from models.catalog import PRESETS
from resolvers import catalog, changes, launches, places, vms
from resolvers.pagination import Page
from schema.arguments import After, AfterChange, First, UserId
from schema.catalog import Console, Preset
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import ProviderName, VMStatus
from schema.execution.plan import Batch
from schema.ids import global_id, key_of
from schema.node import Info, Node
from schema.places import Location, Site, site_of
from schema.records import made, resolved, same, show, shown_by

if TYPE_CHECKING:
    from schema.launches import Launch

# Wolf's ports for GameStream on the machine itself.
_HTTPS_PORT: Final = 47984
_HTTP_PORT: Final = 47989
_RTSP_PORT: Final = 48010


@strawberry.type(description="Where a Moonlight client connects. The ports are those that are open to the internet.")
class StreamEndpoint:
    host: str = strawberry.field(description="The IP address.")
    https_port: int = strawberry.field(description="The HTTPS port, for pairing and for starting streams.")
    http_port: int = strawberry.field(description="The HTTP port, for discovery.")
    rtsp_port: int = strawberry.field(description="The RTSP port, for setting up streams.")
    paired: bool = strawberry.field(description="Whether a device is paired with the machine.")

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


def _launch(found: models.launches.Launch) -> Launch:
    from schema.launches import Launch  # noqa: PLC0415 - the two types name each other

    return Launch.of(found)


@strawberry.type(name="VM", description="A rented gaming machine.")
class VM(Node):
    name: str = strawberry.field(description="The machine's name at its cloud.")
    provider: ProviderName = strawberry.field(description="The cloud that the machine is rented from.")
    provider_id: str | None = strawberry.field(
        description="The cloud's own id of the machine. Null until the cloud has assigned one."
    )
    status: VMStatus = strawberry.field(description="The state of the machine.")
    user_id: str = strawberry.field(description="The user whom the machine is for.")
    game_id: str | None = strawberry.field(
        description="The game that is set up on the machine. Null for a machine without a game."
    )
    preset: Preset = strawberry.field(description="The size of the machine.")
    location: Location = strawberry.field(description="Where the machine is.")
    ip_address: str | None = strawberry.field(description="The machine's public IP address. Null until it has one.")
    stream: StreamEndpoint | None = strawberry.field(
        description="Where a Moonlight client connects. Null unless the machine is running and has an address."
    )
    hourly_price: Decimal = strawberry.field(description="The price per hour in USD while the machine runs.")
    created_at: datetime = strawberry.field(description="When the VM was requested.")
    started_at: datetime | None = strawberry.field(
        description="When the machine first started. Null if it has not started."
    )
    stopped_at: datetime | None = strawberry.field(description="When the machine stopped. Null if it is not stopped.")
    last_activity_at: datetime | None = strawberry.field(
        description="When the machine was last seen in use. Null if it has not been."
    )
    idle_stop_minutes: int = strawberry.field(description="How many minutes without play stop the machine.")
    stops_at: datetime | None = strawberry.field(
        description="When the session limit stops the machine, even if it is in use. Null if it is not running."
    )
    warning: str | None = strawberry.field(
        description="What the player should know now, such as an approaching stop or saves that could not be "
        "uploaded. Null if there is nothing to warn about."
    )
    document: strawberry.Private[models.vms.Vm]

    @strawberry.field(
        description="The console that the machine plays.",
        metadata=Batch(lambda vm: vm.document.console, catalog.consoles_of, Console.of).metadata,
    )
    async def console(self, info: Info) -> Console:
        return Console.of(await catalog.console(info.context, self.document.console))

    @strawberry.field(
        description="The site as its cloud lists it now. Null if the cloud no longer lists it.",
        metadata=Batch(lambda vm: (vm.document.provider, vm.document.place.site_id), places.sites_of, site_of).metadata,
    )
    async def site(self, info: Info) -> Site | None:
        found = await places.site(info.context, self.document.provider, self.document.place.site_id)
        return None if found is None else site_of(found)

    @strawberry.field(
        description="What the machine has cost up to now in USD, by our meter.",
        metadata=Batch(lambda vm: vm.document.id, vms.usage_of, lambda used: tidy(used.cost_usd)).metadata,
    )
    async def cost_so_far(self, info: Info) -> Decimal:
        return tidy((await info.context.loaders.usage.load(self.document.id)).cost_usd)

    @strawberry.field(
        description="How many seconds the machine has run in total.",
        metadata=Batch(lambda vm: vm.document.id, vms.usage_of, lambda used: used.running_seconds).metadata,
    )
    async def running_seconds(self, info: Info) -> int:
        return (await info.context.loaders.usage.load(self.document.id)).running_seconds

    @strawberry.field(
        description="The launch that rented the machine. Null if its record no longer exists.",
        metadata=Batch(lambda vm: vm.document.launch_id, launches.launches_of, _launch).metadata,
    )
    async def launch(self, info: Info) -> Annotated[Launch, strawberry.lazy("schema.launches")] | None:
        found = await launches.launch_of(info.context, self.document.launch_id)
        return None if found is None else _launch(found)

    @strawberry.field(
        description="The launch that moves the game and its saves to another machine because the hardware of this one "
        "was given away while it was stopped. Null if there is none.",
        metadata=Batch(lambda vm: vm.document.replacement_launch_id, launches.launches_of, _launch).metadata,
    )
    async def replacement(self, info: Info) -> Annotated[Launch, strawberry.lazy("schema.launches")] | None:
        launch_id = self.document.replacement_launch_id
        found = None if launch_id is None else await launches.launch_of(info.context, launch_id)
        return None if found is None else _launch(found)

    @classmethod
    def of(cls, vm: models.vms.Vm) -> VM:
        """Return it as it is shown; a row needs the columns of the fields that are read."""
        return shown_by(cls, vm)


_PRESETS: Final = {name: Preset.of(preset) for name, preset in PRESETS.items()}
_WARNINGS: Final = (
    *("saves_warning", "stop_warning", "library_warning"),
    *("health_warning", "price_warning", "warning"),
)
show(
    VM,
    models.vms.Vm,
    ("id", "user_id", "created_at"),
    {
        **same("provider", "provider_id", "status", "user_id", "game_id", "ip_address", "created_at", "started_at"),
        **same("stopped_at", "last_activity_at", "idle_stop_minutes", "stops_at"),
        "id": made(lambda vm: global_id("VM", vm.id), "id"),
        "name": made(lambda vm: vm.tag, "tag"),
        "preset": made(lambda vm: _PRESETS[vm.preset], "preset"),
        "location": made(lambda vm: Location.of_vm(vm.place), "place"),
        "stream": made(StreamEndpoint.of, "ip_address", "status", "ports", "paired"),
        "hourly_price": made(lambda vm: vm.usd_per_hour, "usd_per_hour"),
        "warning": made(lambda vm: vm.warnings, *_WARNINGS),
        "console": resolved("console"),
        "site": resolved("provider", "place"),
        "cost_so_far": resolved("id"),
        "running_seconds": resolved("id"),
        "launch": resolved("launch_id"),
        "replacement": resolved("replacement_launch_id"),
    },
)


@strawberry.type(name="VMEdge", description="One VM in a page, with its cursor.")
class VMEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: VM = strawberry.field(description=NODE)


@strawberry.type(name="VMConnection", description="A page of VMs.")
class VMConnection:
    edges: list[VMEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[models.vms.Vm]) -> VMConnection:
        edges = [VMEdge(cursor=c, node=VM.of(vm)) for c, vm in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type
class VmQuery:
    @strawberry.field(description="Look up a VM. Null if it does not exist or belongs to another user.")
    async def vm(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The global id of the VM.")]
    ) -> VM | None:
        found = await vms.vm(info.context, key_of("VM", id))
        return None if found is None else VM.of(found)

    @strawberry.field(description="List VMs, newest first. Players see their own.")
    async def vms(
        self,
        info: Info,
        status: Annotated[
            list[VMStatus] | None, strawberry.argument(description="Only VMs with one of these statuses. Null: all.")
        ] = None,
        user_id: UserId = None,
        first: First = 50,
        after: After = None,
    ) -> VMConnection:
        return VMConnection.of(await vms.vms(info.context, status, user_id, first, after))


@strawberry.type(description="One event of `vmChanges`.")
class VMChange:
    cursor: str = strawberry.field(
        description="Where to continue after a lost connection: pass it as `after`. Some events may then come twice."
    )
    vm: VM | None = strawberry.field(
        description="The VM as it is now. Null in the first event, which says that no later change will be missed."
    )

    @classmethod
    def of(cls, seen: changes.Seen[models.vms.Vm]) -> VMChange:
        return cls(cursor=seen.cursor, vm=None if seen.record is None else VM.of(seen.record))


@strawberry.type
class VmSubscription:
    @strawberry.subscription(
        description="Follow a VM: sends the VM as it is now, then whenever it changes, and completes when it is "
        "deleted."
    )
    async def vm_status(
        self, info: Info, vm_id: Annotated[strawberry.ID, strawberry.argument(description="The global id of the VM.")]
    ) -> AsyncGenerator[VM, None]:
        return _as_graphql(await vms.vm_status(info.context, key_of("VM", vm_id)))

    @strawberry.subscription(
        description="Follow all VMs that the caller may see: sends each VM whenever it changes, without an end. Two "
        "changes in quick succession may be sent as one."
    )
    async def vm_changes(
        self,
        info: Info,
        status: Annotated[
            list[VMStatus] | None,
            strawberry.argument(
                description="Only VMs with one of these statuses, and each VM once more when it leaves them. Null: all."
            ),
        ] = None,
        user_id: UserId = None,
        after: AfterChange = None,
    ) -> AsyncGenerator[VMChange, None]:
        return _changes_as_graphql(await changes.vm_changes(info.context, status, user_id, after))


async def _changes_as_graphql(
    events: AsyncGenerator[changes.Seen[models.vms.Vm], None],
) -> AsyncGenerator[VMChange, None]:
    async with aclosing(events):
        async for seen in events:
            yield VMChange.of(seen)


async def _as_graphql(states: AsyncGenerator[models.vms.Vm, None]) -> AsyncGenerator[VM, None]:
    async with aclosing(states):
        async for vm in states:
            yield VM.of(vm)
