"""The root types and the schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
)
from strawberry.schema.config import StrawberryConfig

from resolvers import catalog, keys, launches, places, regions, saves, scheduled_launches, vms
from resolvers.context import Context
from schema.cache_control import define_directive, print_with_hints
from schema.catalog import CatalogQuery, Console, Game
from schema.consoles import ConsoleMutation
from schema.costs import CostQuery
from schema.emulator_images import EmulatorImageMutation, EmulatorImageQuery
from schema.ids import parts
from schema.keys import ApiKey, AuditEntry, KeyMutation, KeyQuery
from schema.launch_times import LaunchTimesQuery
from schema.launches import Launch, LaunchMutation, LaunchQuery, LaunchSubscription
from schema.mutation_errors import KINDS
from schema.node import Info, Node
from schema.operator_alerts import OperatorAlertQuery, OperatorAlertSubscription
from schema.pairing import PairingMutation, PairingQuery
from schema.places import Hostnode, PlaceQuery
from schema.receipts import ReceiptQuery
from schema.regions import Region, RegionQuery
from schema.save_changes import SaveMutation
from schema.saves import SaveQuery, SaveSlot, SaveVersion
from schema.scalars import SCALARS
from schema.scheduled_launches import ScheduledLaunch, ScheduledLaunchMutation, ScheduledLaunchQuery
from schema.service import PlatformQuery
from schema.spending import SpendingMutation, SpendingQuery, SpendingSubscription
from schema.vm_commands import PowerMutation
from schema.vms import VM, VmQuery, VmSubscription
from schema.warm_pool import WarmPoolMutation, WarmPoolQuery

_FINDERS: Final[dict[str, tuple[Callable[[Context, str], Awaitable[Any]], Callable[[Any], Node]]]] = {
    "ApiKey": (keys.api_key_of, ApiKey.of),
    "AuditEntry": (keys.audit_entry_of, AuditEntry.of),
    "Console": (catalog.console_of, Console.of),
    "Game": (catalog.game_of, Game.of),
    "Hostnode": (places.hostnode_of, Hostnode.of),
    "Launch": (launches.launch_of, Launch.of),
    "Region": (regions.region_of, Region.of),
    "SaveSlot": (saves.slot_of, SaveSlot.of),
    "SaveVersion": (saves.version_of, SaveVersion.of),
    "ScheduledLaunch": (scheduled_launches.scheduled_launch_of, ScheduledLaunch.of),
    "VM": (vms.vm_of, VM.of),
}


@strawberry.type(description="The root of all queries.")
class Query(
    PlatformQuery,
    CatalogQuery,
    PlaceQuery,
    VmQuery,
    LaunchQuery,
    KeyQuery,
    CostQuery,
    ReceiptQuery,
    SpendingQuery,
    RegionQuery,
    OperatorAlertQuery,
    EmulatorImageQuery,
    LaunchTimesQuery,
    PairingQuery,
    SaveQuery,
    WarmPoolQuery,
    ScheduledLaunchQuery,
):
    @strawberry.field(
        description="Look up any object by its global id. Null if it does not exist or belongs to another user."
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The global id of the object.")]
    ) -> Node | None:
        type_name, key = parts(id) or ("", "")
        if type_name not in _FINDERS:
            return None
        find, shown = _FINDERS[type_name]
        found = await find(info.context, key)
        return None if found is None else shown(found)


@strawberry.type(description="The root of all mutations.")
class Mutation(
    LaunchMutation,
    PowerMutation,
    KeyMutation,
    SpendingMutation,
    ConsoleMutation,
    EmulatorImageMutation,
    PairingMutation,
    SaveMutation,
    WarmPoolMutation,
    ScheduledLaunchMutation,
):
    pass


@strawberry.type(description="The root of all subscriptions.")
class Subscription(LaunchSubscription, VmSubscription, SpendingSubscription, OperatorAlertSubscription):
    pass


def sdl() -> str:
    """Return the schema in the schema definition language."""
    return print_with_hints(SCHEMA) + "\n"


def _build_schema() -> GraphQLSchema:
    made = strawberry.Schema(
        Query,
        Mutation,
        Subscription,
        types=KINDS,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    _remove_null_defaults(made._schema)
    define_directive(made._schema)
    return made._schema


def _remove_null_defaults(schema: GraphQLSchema) -> None:
    """Remove defaults of None: optional arguments have no default in the contract."""
    for type_ in schema.type_map.values():
        inputs: list[GraphQLArgument | GraphQLInputField] = []
        if isinstance(type_, GraphQLInputObjectType):
            inputs += type_.fields.values()
        elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            inputs += [argument for field in type_.fields.values() for argument in field.args.values()]
        for each in inputs:
            if each.default_value is None:
                each.default_value = Undefined


SCHEMA: Final = _build_schema()
