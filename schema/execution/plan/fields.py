"""The tree of an operation's fields, as it is compiled: how each is resolved, and what is awaited below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from graphql import GraphQLField, GraphQLObjectType, is_list_type, is_non_null_type
from graphql.execution.collect_fields import FieldDetailsList
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from schema.execution.plan.batch import Batch, batch_of

TYPENAME: Final = "__typename"


class How(Enum):
    """How the value of a field is found."""

    TYPENAME = auto()
    ATTRIBUTE = auto()  # of the parent
    CALL = auto()  # a resolver that answers at once
    AWAIT = auto()  # a resolver for each parent
    BATCH = auto()  # one load for all parents


@dataclass(eq=False, slots=True)
class FieldPlan:
    """A field at one place of an operation.

    `slot` is where the state of an execution keeps the parents that wait for it, and the next one where it keeps its
    resolver's arguments. `waiting` are the fields below it that are awaited after its value was built.
    """

    key: str
    slot: int
    parent: FieldPlan | None
    parent_type: GraphQLObjectType
    definition: GraphQLField
    details: FieldDetailsList
    how: How
    waiting: list[FieldPlan] = field(default_factory=list)
    complete: Callable[[Any, list[Any]], Any] = field(init=False)

    @property
    def arguments_slot(self) -> int:
        return self.slot + 1

    @property
    def nodes(self) -> list[Any]:
        return [detail.node for detail in self.details]

    @property
    def strawberry(self) -> StrawberryField:
        return strawberry_field(self.definition)

    @property
    def batch(self) -> Batch:
        found = batch_of(self.strawberry.metadata)
        assert found is not None
        return found

    @property
    def is_awaited(self) -> bool:
        return self.how in (How.AWAIT, How.BATCH)

    @property
    def has_arguments(self) -> bool:
        """Return whether its resolver takes more than the parent."""
        resolver = self.strawberry.base_resolver
        return resolver is not None and bool(resolver.arguments or resolver.info_parameter)

    @property
    def resolver(self) -> Any:
        resolver = self.strawberry.base_resolver
        assert resolver is not None
        return resolver.wrapped_func

    @property
    def may_stream(self) -> bool:
        """Return whether a resolver may return an asynchronous iterator instead of a list."""
        inner = self.definition.type.of_type if is_non_null_type(self.definition.type) else self.definition.type
        return self.how is How.CALL and is_list_type(inner)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled operation.

    `roots` are its root fields, `calls` the fields with resolver arguments that are read before it begins. `slots` is
    the size of an execution's state, and `summary` describes what is selected.
    """

    roots: list[FieldPlan]
    calls: list[FieldPlan]
    slots: int
    summary: Any


def strawberry_field(definition: GraphQLField) -> StrawberryField:
    """Return Strawberry's definition of a field."""
    found = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    assert isinstance(found, StrawberryField)
    return found


def origin_of(type_: GraphQLObjectType) -> type:
    """Return the class of this type's instances."""
    origin = type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin
    assert isinstance(origin, type)
    return origin


def how_resolved(name: str, definition: GraphQLField) -> How:
    """Return how the field is resolved."""
    if name == TYPENAME:
        return How.TYPENAME
    resolved = strawberry_field(definition)
    if resolved.is_basic_field:
        return How.ATTRIBUTE
    if not resolved.is_async:
        return How.CALL
    return How.AWAIT if batch_of(resolved.metadata) is None else How.BATCH
