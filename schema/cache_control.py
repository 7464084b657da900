"""The directive `@cacheControl`: how long, and between which callers, the result of a field may be shared.

A field without a hint belongs to its caller alone, unless it is a plain attribute of an object: then it is as shareable
as that object. A field with its own resolver needs a hint, because it could look at the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    print_schema,
)

_KEY: Final = "cacheControl"
_OPENING: Final = re.compile(r"(?:type|interface) (\w+).*{$")
_FIELD: Final = re.compile(r"  (\w+)(?:\(.*\))?: ")
_FIELD_WITH_ARGUMENTS: Final = re.compile(r"  (\w+)\($")
_END_OF_ARGUMENTS: Final = re.compile(r"  \): ")


class CacheControlScope(Enum):
    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"


@dataclass(frozen=True, slots=True)
class CacheHint:
    """`max_age_s` of None: as long as the object that the field belongs to."""

    max_age_s: int | None = None
    scope: CacheControlScope = CacheControlScope.PUBLIC

    def __str__(self) -> str:
        age = "inheritMaxAge: true" if self.max_age_s is None else f"maxAge: {self.max_age_s}"
        return f"@cacheControl({age}{', scope: PRIVATE' if self.scope is CacheControlScope.PRIVATE else ''})"


def shared_for(seconds: int) -> Mapping[str, CacheHint]:
    """Return the metadata of a field with the same result for all callers of a role, which may be that old."""
    return {_KEY: CacheHint(seconds)}


SHARED_AS_PARENT: Final[Mapping[str, CacheHint]] = {_KEY: CacheHint()}
PRIVATE: Final[Mapping[str, CacheHint]] = {_KEY: CacheHint(0, CacheControlScope.PRIVATE)}

_SCOPE_TYPE: Final = GraphQLEnumType(
    "CacheControlScope", CacheControlScope, description="Whom the result of a field may be shared with."
)
_SCOPE_TYPE.values["PUBLIC"].description = "All callers of a role get the same result, which may be kept."
_SCOPE_TYPE.values["PRIVATE"].description = "Every caller gets a result of its own, which is not kept."
_DIRECTIVE: Final = GraphQLDirective(
    _KEY,
    [DirectiveLocation.FIELD_DEFINITION],
    {
        "maxAge": GraphQLArgument(GraphQLInt, description="For how many seconds the result may be kept."),
        "inheritMaxAge": GraphQLArgument(
            GraphQLBoolean, description="The result may be kept as long as the object that the field belongs to."
        ),
        "scope": GraphQLArgument(_SCOPE_TYPE, description="Whom the result may be shared with. Null: PUBLIC."),
    },
    description="How long the result of a field may be kept and shared. Without it the result is the caller's alone.",
)


def define_directive(schema: GraphQLSchema) -> None:
    """Add `@cacheControl` to the schema."""
    schema.directives = (*schema.directives, _DIRECTIVE)
    schema.type_map[_SCOPE_TYPE.name] = _SCOPE_TYPE


def hint_of(field: GraphQLField) -> CacheHint:
    """Return the hint of a field; that of a field with a resolver and without a hint is private."""
    definition: Any = field.extensions.get("strawberry-definition")
    if definition is None:
        return PRIVATE[_KEY]
    declared: CacheHint | None = definition.metadata.get(_KEY)
    if declared is not None:
        return declared
    return PRIVATE[_KEY] if definition.base_resolver is not None else SHARED_AS_PARENT[_KEY]


def print_with_hints(schema: GraphQLSchema) -> str:
    """Return the SDL, with the directive at every field that declares it."""
    fields: Mapping[str, GraphQLField] = {}
    lines, name = [], ""
    for line in print_schema(schema).splitlines():
        if opening := _OPENING.match(line):
            type_ = schema.type_map[opening[1]]
            fields = type_.fields if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) else {}
        if begun := _FIELD_WITH_ARGUMENTS.match(line) or _FIELD.match(line):
            name = begun[1]
        ends = _FIELD.match(line) or _END_OF_ARGUMENTS.match(line)
        lines.append(f"{line}{_declared(fields.get(name))}" if ends else line)
    return "\n".join(lines)


def _declared(field: GraphQLField | None) -> str:
    definition: Any = None if field is None else field.extensions.get("strawberry-definition")
    hint = None if definition is None else definition.metadata.get(_KEY)
    return "" if hint is None else f" {hint}"
