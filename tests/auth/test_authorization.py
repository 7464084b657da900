from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
)

from auth.authorization import RULES, Scope, missing_rules, owner_filter, render_table, require, resolve_user
from auth.callers import Caller, Role
from errors import ForbiddenError, InvalidInputError
from schema.root import SCHEMA

ALICE = Caller("alice", Role.PLAYER)
WEB = Caller("key-0123456789abcdef", Role.SERVICE)
ROOT = Caller("root", Role.OPERATOR)
REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMAS = sorted((REPOSITORY / "graphql").glob("*.graphql"))
OPERATORS_ONLY = {name for name, rule in RULES.items() if list(rule.scopes) == [Role.OPERATOR]}


@pytest.fixture(params=["served", *SCHEMAS], ids=lambda each: each if isinstance(each, str) else each.name)
def schema(request: pytest.FixtureRequest) -> GraphQLSchema:
    """What is served by the code, and what the files say is."""
    return SCHEMA if request.param == "served" else build_schema(request.param.read_text(encoding="utf-8"))


def test_every_field_of_the_roots_and_every_node_has_a_rule(schema: GraphQLSchema) -> None:
    names = [*root_fields(schema), *(type_.name for type_ in nodes(schema))]

    assert missing_rules(names) == []


def test_the_table_names_nothing_that_no_schema_has() -> None:
    named: set[str] = set()
    for path in SCHEMAS:
        schema = build_schema(path.read_text(encoding="utf-8"))
        named |= {*root_fields(schema), *(type_.name for type_ in nodes(schema))}

    assert {name for name in RULES if not name.startswith("Route.")} - named == set()


def test_every_type_is_reached_from_a_root_that_has_a_rule_or_is_a_node() -> None:
    """Nothing is served beside the table: not by an interface, not by a type that only `node` finds."""
    roots = [(SCHEMA.type_map[name.split(".")[0]], name.split(".")[1]) for name in root_fields(SCHEMA)]
    reached = {name for root, field in roots for name in reachable(SCHEMA, field_type(root, field))}
    for node in nodes(SCHEMA):
        assert node.name in RULES
        reached |= reachable(SCHEMA, node)

    served = {name for name, type_ in SCHEMA.type_map.items() if isinstance(type_, GraphQLObjectType)}
    introspection = {name for name in served if name.startswith("__")}
    assert served - introspection - {"Query", "Mutation", "Subscription"} == {
        name for name in reached if isinstance(SCHEMA.type_map[name], GraphQLObjectType)
    }


def test_a_field_that_nobody_thought_of_is_found() -> None:
    assert missing_rules(["Query.vm", "Query.dropDatabase", "Invoice"]) == ["Invoice", "Query.dropDatabase"]


def test_no_edge_leads_from_what_players_see_to_what_is_for_operators(schema: GraphQLSchema) -> None:
    """`node` alone may, and it asks for the rule of the type that it found."""
    for name in set(root_fields(schema)) - OPERATORS_ONLY:
        root, field = name.split(".")
        reached = reachable(schema, field_type(schema.type_map[root], field))

        assert reached & OPERATORS_ONLY == set(), name


def test_the_document_is_what_the_table_prints() -> None:
    assert (REPOSITORY / "docs" / "access.md").read_text(encoding="utf-8") == render_table()


@pytest.mark.parametrize("name", sorted(OPERATORS_ONLY))
@pytest.mark.parametrize("caller", [ALICE, WEB])
def test_what_is_for_operators_is_refused_to_others(caller: Caller, name: str) -> None:
    with pytest.raises(ForbiddenError, match=name):
        require(caller, name)


def test_numbers_are_for_operators_and_services() -> None:
    assert (require(WEB, "Route.metrics"), require(ROOT, "Route.metrics")) == (Scope.ANY, Scope.ANY)
    with pytest.raises(ForbiddenError):
        require(ALICE, "Route.metrics")


def test_what_is_for_operators_only() -> None:
    assert {
        "Query.apiKeys",
        "Query.auditLog",
        "Query.operatorAlerts",
        "Query.skippedLibraryFiles",
        "Subscription.operatorAlerts",
        "Query.costComparison",
        "Query.emulatorImages",
        "Query.launchTimes",
        "Query.sweeps",
        "Query.warmPool",
        "Mutation.configureConsole",
        "Mutation.refreshEmulatorImages",
        "Mutation.setSpendingLimit",
        "Mutation.removeSpendingLimit",
        "Mutation.setWarmPool",
        "Mutation.createApiKey",
        "Mutation.revokeApiKey",
        "Route.exportCosts",
        "ApiKey",
        "AuditEntry",
    } == OPERATORS_ONLY


@pytest.mark.parametrize("caller", [ALICE, WEB, ROOT])
@pytest.mark.parametrize("name", ["Query.secrets", "Query", "", "query.vm", "VM "])
def test_what_the_table_does_not_name_is_refused_to_all(caller: Caller, name: str) -> None:
    with pytest.raises(ForbiddenError):
        require(caller, name)


@pytest.mark.parametrize(("caller", "scope"), [(ALICE, Scope.OWN), (WEB, Scope.ANY), (ROOT, Scope.ANY)])
def test_a_player_sees_its_own_machines_and_the_others_all(caller: Caller, scope: Scope) -> None:
    assert require(caller, "Query.vms") is scope


def test_a_player_orders_for_itself_and_for_nobody_else() -> None:
    assert resolve_user(ALICE, None) == "alice"
    assert resolve_user(ALICE, "alice") == "alice"
    with pytest.raises(ForbiddenError):
        resolve_user(ALICE, "bob")


@pytest.mark.parametrize("caller", [WEB, ROOT])
def test_services_and_operators_order_for_players(caller: Caller) -> None:
    assert resolve_user(caller, "bob") == "bob"
    assert resolve_user(caller, None) == caller.id


def test_a_list_without_a_user_is_everybodys_but_for_players() -> None:
    assert owner_filter(ALICE, None) == "alice"
    assert owner_filter(WEB, None) is None
    assert owner_filter(ROOT, "bob") == "bob"
    with pytest.raises(ForbiddenError):
        owner_filter(ALICE, "bob")


@pytest.mark.parametrize(
    "user_id", ["", "../alice", "a b", "a\n", "$ne", "alice;reboot", "a" * 256, "älice", "a\u2028"]
)
def test_a_text_that_can_be_nobodys_id_is_named_as_bad_input(user_id: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        owner_filter(ROOT, user_id)

    assert refused.value.path == ("userId",)


def root_fields(schema: GraphQLSchema) -> list[str]:
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    return [f"{root.name}.{field}" for root in roots if root for field in root.fields]


def nodes(schema: GraphQLSchema) -> list[GraphQLObjectType]:
    node = schema.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    return list(schema.get_implementations(node).objects)


def field_type(root: GraphQLNamedType, field: str) -> GraphQLOutputType:
    assert isinstance(root, GraphQLObjectType)
    found: GraphQLOutputType = root.fields[field].type
    return found


def reachable(schema: GraphQLSchema, start: GraphQLOutputType) -> set[str]:
    """Names of the object types that a selection below this type can come to, `Node` itself left out."""
    seen: set[str] = set()
    waiting: list[GraphQLNamedType] = [get_named_type(start)]
    while waiting:
        type_ = waiting.pop()
        if type_.name in seen or type_.name == "Node":
            continue
        seen.add(type_.name)
        waiting.extend(neighbours(schema, type_))
    return seen


def neighbours(schema: GraphQLSchema, type_: GraphQLNamedType) -> Iterator[GraphQLNamedType]:
    if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
        yield from schema.get_possible_types(type_)
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        yield from (get_named_type(field.type) for field in type_.fields.values())
