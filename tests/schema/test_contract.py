"""What we serve is what the contract says, but for one list of what is not served yet. That list only shrinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import (
    BreakingChangeType,
    DangerousChangeType,
    GraphQLInterfaceType,
    GraphQLSchema,
    Visitor,
    build_ast_schema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    parse,
    visit,
)
from graphql.language import REMOVE

from auth.authorization import missing_rules
from schema.root import SCHEMA, sdl
from schema.snapshot import SNAPSHOT

CONTRACT = Path("graphql/contract.graphql").read_text(encoding="utf-8")

NOT_YET_SERVED: set[str] = set()


def test_nothing_of_the_contract_is_missing_renamed_or_loosened() -> None:
    assert [change.description for change in find_breaking_changes(promised(), SCHEMA)] == []


def test_nothing_of_the_contract_is_changed_in_a_way_that_could_surprise_a_client() -> None:
    added = {DangerousChangeType.OPTIONAL_ARG_ADDED, DangerousChangeType.OPTIONAL_INPUT_FIELD_ADDED}

    changes = [change for change in find_dangerous_changes(promised(), SCHEMA) if change.type not in added]

    assert [change.description for change in changes] == []


def test_clients_of_the_contract_can_leave_out_only_these_arguments() -> None:
    added = {"measuredRtt"}

    optional = [change.description for change in find_dangerous_changes(promised(), SCHEMA)]

    assert [words for words in optional if not any(name in words for name in added)] == []


def test_nothing_is_promised_more_strictly_than_the_contract_does() -> None:
    kinds = {BreakingChangeType.FIELD_CHANGED_KIND, BreakingChangeType.ARG_CHANGED_KIND}

    backwards = [change for change in find_breaking_changes(SCHEMA, promised()) if change.type in kinds]

    assert [change.description for change in backwards] == []


def test_the_list_of_what_is_not_served_names_only_what_is_in_the_contract_and_not_served() -> None:
    contract = names(build_schema(CONTRACT))
    served = names(SCHEMA)

    assert contract >= NOT_YET_SERVED
    assert served & NOT_YET_SERVED == set()


def test_types_that_only_stand_behind_an_interface_are_served() -> None:
    for interface in ("Node", "Site", "UserError"):
        contract = build_schema(CONTRACT)
        promised_types = behind(contract, interface)

        served_types = behind(SCHEMA, interface)

        assert served_types >= promised_types - NOT_YET_SERVED


def test_every_root_field_has_a_rule_of_who_may_call_it() -> None:
    roots = ("Query", "Mutation", "Subscription")

    fields = [name for name in names(SCHEMA) if name.startswith(tuple(f"{root}." for root in roots))]

    assert missing_rules([*fields, *behind(SCHEMA, "Node")]) == []


def test_the_committed_snapshot_is_the_schema_as_it_is() -> None:
    assert SNAPSHOT.read_text(encoding="utf-8") == sdl(), "refresh it: python -m schema.snapshot"


def promised() -> GraphQLSchema:
    """The contract without what is not served yet."""
    return build_ast_schema(visit(parse(CONTRACT), WithoutUnserved()))


class WithoutUnserved(Visitor):
    def enter_field_definition(self, node: Any, _key: Any, _parent: Any, _path: Any, ancestors: list[Any]) -> Any:
        return REMOVE if f"{ancestors[-1].name.value}.{node.name.value}" in NOT_YET_SERVED else None

    def enter(self, node: Any, *_: Any) -> Any:
        of_a_type = node.kind.endswith("type_definition")
        return REMOVE if of_a_type and node.name.value in NOT_YET_SERVED else None


def behind(schema: GraphQLSchema, interface: str) -> set[str]:
    type_ = schema.type_map[interface]
    assert isinstance(type_, GraphQLInterfaceType)
    return {possible.name for possible in schema.get_possible_types(type_)}


def names(schema: GraphQLSchema) -> set[str]:
    """Of all types and of their fields, as `Type` and `Type.field`."""
    found = set(schema.type_map)
    for type_ in schema.type_map.values():
        found |= {f"{type_.name}.{field}" for field in getattr(type_, "fields", {})}
    return found
