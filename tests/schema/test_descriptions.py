"""Clients read the API in an explorer: everything in the schema is described there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLSchema, build_schema, is_introspection_type, is_specified_scalar_type

from schema.root import SCHEMA

UNDESCRIBED = build_schema(
    "enum Size { SMALL } type Thing { size: Size } input Filter { size: Size } type Query { thing(by: Filter): Thing }"
)


def test_every_type_field_argument_and_enum_value_has_a_description() -> None:
    assert undescribed(SCHEMA) == []


def test_a_description_is_a_sentence() -> None:
    texts = {name: element.description or "" for name, element in elements(SCHEMA)}

    assert {name: text for name, text in texts.items() if not is_sentence(text)} == {}


@pytest.mark.parametrize("name", ["Size", "Size.SMALL", "Thing.size", "Filter.size", "Query.thing", "Query.thing(by)"])
def test_a_missing_description_is_found_wherever_it_is_missing(name: str) -> None:
    assert name in undescribed(UNDESCRIBED)


def undescribed(schema: GraphQLSchema) -> list[str]:
    return sorted(name for name, element in elements(schema) if not element.description)


def elements(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Return all elements of our own in a schema, by names such as `Query.vm(id)`."""
    for type_ in schema.type_map.values():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        yield type_.name, type_
        for name, field in getattr(type_, "fields", {}).items():
            yield f"{type_.name}.{name}", field
            for argument_name, argument in getattr(field, "args", {}).items():
                yield f"{type_.name}.{name}({argument_name})", argument
        if isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", value


def is_sentence(text: str) -> bool:
    return text.endswith(".") and (text[0].isupper() or text.startswith("`"))
