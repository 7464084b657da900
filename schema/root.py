"""The three roots, and the schema made of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    print_schema,
)
from strawberry.schema.config import StrawberryConfig

from resolvers import catalog, keys, launches, places, regions, vms
from resolvers.context import Context
from schema.catalog import CatalogQuery, Console, Game
from schema.consoles import ConsoleMutation
from schema.costs import CostMutation, CostQuery, CostSubscription
from schema.ids import parts
from schema.keys import ApiKey, AuditEntry, KeyMutation, KeyQuery
from schema.launches import Launch, LaunchMutation, LaunchQuery, LaunchSubscription
from schema.mutation_errors import KINDS
from schema.node import Info, Node
from schema.operator_alerts import OperatorAlertQuery, OperatorAlertSubscription
from schema.places import Hostnode, PlaceQuery
from schema.regions import Region, RegionQuery
from schema.scalars import SCALARS
from schema.service import PlatformQuery
from schema.vm_commands import PowerMutation
from schema.vms import VM, VmQuery, VmSubscription

_FINDERS: Final[dict[str, tuple[Callable[[Context, str], Awaitable[Any]], Callable[[Any], Node]]]] = {
    "ApiKey": (keys.api_key_of, ApiKey.of),
    "AuditEntry": (keys.audit_entry_of, AuditEntry.of),
    "Console": (catalog.console_of, Console.of),
    "Game": (catalog.game_of, Game.of),
    "Hostnode": (places.hostnode_of, Hostnode.of),
    "Launch": (launches.launch_of, Launch.of),
    "Region": (regions.region_of, Region.of),
    "VM": (vms.vm_of, VM.of),
}


@strawberry.type
class Query(
    PlatformQuery,
    CatalogQuery,
    PlaceQuery,
    VmQuery,
    LaunchQuery,
    KeyQuery,
    CostQuery,
    RegionQuery,
    OperatorAlertQuery,
):
    @strawberry.field(description="Anything by its id. Null alike for what is unknown and what is not the caller's.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        type_name, key = parts(id) or ("", "")
        if type_name not in _FINDERS:
            return None
        find, shown = _FINDERS[type_name]
        found = await find(info.context, key)
        return None if found is None else shown(found)


@strawberry.type
class Mutation(LaunchMutation, PowerMutation, KeyMutation, CostMutation, ConsoleMutation):
    pass


@strawberry.type
class Subscription(LaunchSubscription, VmSubscription, CostSubscription, OperatorAlertSubscription):
    pass


def sdl() -> str:
    return print_schema(SCHEMA) + "\n"


def _made() -> GraphQLSchema:
    made = strawberry.Schema(
        Query,
        Mutation,
        Subscription,
        types=KINDS,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    _forget_null_defaults(made._schema)
    return made._schema


def _forget_null_defaults(schema: GraphQLSchema) -> None:
    """What may be left out has no default in the contract; Python's None would be printed as one."""
    for type_ in schema.type_map.values():
        inputs: list[GraphQLArgument | GraphQLInputField] = []
        if isinstance(type_, GraphQLInputObjectType):
            inputs += type_.fields.values()
        elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            inputs += [argument for field in type_.fields.values() for argument in field.args.values()]
        for each in inputs:
            if each.default_value is None:
                each.default_value = Undefined


SCHEMA: Final = _made()
