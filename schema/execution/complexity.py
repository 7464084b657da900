"""Measures a GraphQL document before it is validated: depth, aliases, cost and so on.

Every selection is visited once, whatever the fragments do: the size of a fragment does not depend on where it is
spread, so it is computed once and added for each spread. Nothing here recurses. A document that is invalid in other
ways (unknown fields, missing or circular fragments) is measured as well as possible and left to validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from schema.execution.cost import CEILING, PAGE_ARGUMENTS, PageSizes, rows, weight
from schema.sizes import MEASURED_LISTS, WORD_ARGUMENTS, Words, rows_cost

# Most lists in an introspection are empty, and all are in memory: this many estimated values count as one of ours.
_INTROSPECTION_DISCOUNT: Final = 40
_SIZING_ARGUMENTS: Final = frozenset({*PAGE_ARGUMENTS, *WORD_ARGUMENTS})


@dataclass(frozen=True, slots=True)
class Measurement:
    """The size of a document. `visited` is the number of selections that were visited to measure it."""

    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    directives: int = 0
    fragments: int = 0
    root_fields: int = 0
    page_size: int = 0
    cost: int = 0
    visited: int = 0
    repeated_fields: int = 0


def measure(
    schema: GraphQLSchema,
    document: DocumentNode,
    variables: Mapping[str, Any] | None = None,
    operation_name: str | None = None,
    unknown_page_size: int = 100,
) -> Measurement:
    """Measure the operation of this name; without one, or with an unknown one, the largest of the document."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    counts = _Counts(document)
    surveys = [
        _Survey(schema, fragments, operation, variables or {}, unknown_page_size)
        for operation in _operations(document, operation_name)
    ]
    return Measurement(
        depth=max((survey.size.depth for survey in surveys), default=0),
        introspection_depth=max((survey.size.introspection_depth for survey in surveys), default=0),
        aliases=counts.aliases,
        directives=counts.directives,
        fragments=len(fragments),
        root_fields=max((survey.size.fields for survey in surveys), default=0),
        page_size=max((survey.page_sizes.largest for survey in surveys), default=0),
        cost=max((survey.size.cost for survey in surveys), default=0),
        visited=counts.visited + sum(survey.visited for survey in surveys),
        repeated_fields=counts.repeated_fields,
    )


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of a selection set.

    In a connection or a report, `cost` occurs once and `cost_per_row` for each row. The number of rows is known only at
    the field with the arguments.
    """

    depth: int = 0
    introspection_depth: int = 0
    fields: int = 0
    cost: int = 0
    cost_per_row: int = 0

    def __add__(self, other: _Size) -> _Size:
        return _Size(
            max(self.depth, other.depth),
            max(self.introspection_depth, other.introspection_depth),
            min(self.fields + other.fields, CEILING),
            min(self.cost + other.cost, CEILING),
            min(self.cost_per_row + other.cost_per_row, CEILING),
        )


_NOTHING: Final = _Size()
_REPORTS: Final = frozenset(name.partition(".")[0] for name in MEASURED_LISTS)


class _Counts:
    """Counts over the whole document that do not depend on the schema."""

    def __init__(self, document: DocumentNode) -> None:
        self.aliases = self.directives = self.visited = self.repeated_fields = 0
        waiting: list[Any] = list(document.definitions)
        while waiting:
            node = waiting.pop()
            self.visited += 1
            self.directives += len(getattr(node, "directives", None) or ())
            self.aliases += isinstance(node, FieldNode) and node.alias is not None
            waiting.extend(getattr(node, "variable_definitions", None) or ())
            if not isinstance(node, InlineFragmentNode):
                self.repeated_fields += _repeated(node)
            waiting.extend(_selections(getattr(node, "selection_set", None)))


class _Survey:
    """Measures one operation, its fragments first."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        unknown_page_size: int,
    ) -> None:
        self._schema = schema
        self._sizes: dict[str, _Size] = {}
        self._words = Words(operation, variables)
        self.page_sizes = PageSizes(operation, variables, unknown_page_size)
        self.visited = 0
        for fragment in _in_order_of_need(operation.selection_set, fragments):
            on = schema.get_type(fragment.type_condition.name.value)
            self._sizes[fragment.name.value] = self._size(fragment.selection_set, on)
        self.size = self._size(operation.selection_set, schema.get_root_type(operation.operation))

    def _size(self, top: SelectionSetNode, on: GraphQLNamedType | None) -> _Size:
        """Measure a selection set. Inner sets are found after outer ones, so in reverse order all parts are known."""
        sizes: dict[int, _Size] = {}
        for selection_set, type_ in reversed(self._found(top, on)):
            total = _NOTHING
            for selection in selection_set.selections:
                self.visited += 1
                total += self._size_of(selection, type_, sizes)
            sizes[id(selection_set)] = total
        return sizes[id(top)]

    def _found(
        self, top: SelectionSetNode, on: GraphQLNamedType | None
    ) -> list[tuple[SelectionSetNode, GraphQLNamedType | None]]:
        found = [(top, on)]
        for selection_set, type_ in found:  # grows during the iteration
            for selection in selection_set.selections:
                inner = getattr(selection, "selection_set", None)
                if inner is not None:
                    found.append((inner, self._type_within(selection, type_)))
        return found

    def _type_within(self, selection: Any, on: GraphQLNamedType | None) -> GraphQLNamedType | None:
        if isinstance(selection, FieldNode):
            field = self._field(selection, on)
            return get_named_type(field.type) if field else None
        if selection.type_condition:
            return self._schema.get_type(selection.type_condition.name.value)
        return on

    def _size_of(self, selection: Any, on: GraphQLNamedType | None, sizes: Mapping[int, _Size]) -> _Size:
        if isinstance(selection, FragmentSpreadNode):
            return self._sizes.get(selection.name.value, _NOTHING)
        inner = sizes.get(id(selection.selection_set), _NOTHING)
        if isinstance(selection, InlineFragmentNode):
            return inner
        return self._size_of_field(selection, on, inner)

    def _size_of_field(self, node: FieldNode, on: GraphQLNamedType | None, inner: _Size) -> _Size:
        field = self._field(node, on)
        name = f"{on.name if on else ''}.{node.name.value}"
        cost = min(weight(name) + self._cost_below(name, node, field, inner), CEILING)
        if on is not None and on.name.startswith("__"):
            return _Size(0, 1 + max(inner.depth, inner.introspection_depth), 1, cost)
        if node.name.value in ("__schema", "__type"):
            return _Size(1, 1 + max(inner.depth, inner.introspection_depth), 1, 1 + cost // _INTROSPECTION_DISCOUNT)
        if name in MEASURED_LISTS or (_is_connection(on) and _is_list(field)):
            return _Size(1 + inner.depth, inner.introspection_depth, 1, cost_per_row=cost)
        return _Size(1 + inner.depth, inner.introspection_depth, 1, cost)

    def _cost_below(self, name: str, node: FieldNode, field: GraphQLField | None, inner: _Size) -> int:
        page_size = self.page_sizes.of(node, field)
        if field is not None and _is_connection(get_named_type(field.type)):
            return inner.cost + (page_size or 1) * inner.cost_per_row
        if name in MEASURED_LISTS:
            return inner.cost
        if inner.cost_per_row and field is not None and get_named_type(field.type).name in _REPORTS:
            return inner.cost + rows_cost(name, node, field, self._words, inner.cost_per_row)
        if not _is_list(field) or name.partition(".")[0].endswith("Connection"):
            return inner.cost + inner.cost_per_row
        return (rows(name) if page_size is None else page_size) * inner.cost

    def _field(self, node: FieldNode, on: GraphQLNamedType | None) -> GraphQLField | None:
        # graphql-core expects a composite type, and finds nothing in any other.
        return None if on is None else self._schema.get_field(on, node.name.value)  # type: ignore[arg-type]


def sizing_variables(document: DocumentNode) -> tuple[str, ...]:
    """Return the variables that decide how many rows the fields of a document may answer with."""
    found: set[str] = set()
    waiting: list[Any] = list(document.definitions)
    while waiting:
        node = waiting.pop()
        for argument in getattr(node, "arguments", None) or ():
            if isinstance(argument.value, VariableNode) and argument.name.value in _SIZING_ARGUMENTS:
                found.add(argument.value.name.value)
        waiting.extend(_selections(getattr(node, "selection_set", None)))
    return tuple(sorted(found))


def _operations(document: DocumentNode, name: str | None) -> Sequence[OperationDefinitionNode]:
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    return [d for d in operations if d.name and d.name.value == name] or operations


def _in_order_of_need(
    top: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[FragmentDefinitionNode]:
    """Yield the fragments that are used, each after those that it spreads. Cut circles where they close."""
    begun: set[str] = set()
    path = [("", iter(_spreads(top)))]
    while path:
        name, needed = path[-1]
        following = next((spread for spread in needed if spread in fragments and spread not in begun), None)
        if following is not None:
            begun.add(following)
            path.append((following, iter(_spreads(fragments[following].selection_set))))
            continue
        path.pop()
        if name:
            yield fragments[name]


def _spreads(top: SelectionSetNode) -> list[str]:
    names: list[str] = []
    waiting: list[Any] = list(top.selections)
    while waiting:
        selection = waiting.pop()
        if isinstance(selection, FragmentSpreadNode):
            names.append(selection.name.value)
        else:
            waiting.extend(_selections(selection.selection_set))
    return names


def _selections(selection_set: SelectionSetNode | None) -> Sequence[Any]:
    return selection_set.selections if selection_set else ()


def _repeated(node: Any) -> int:
    """Count the fields that repeat a sibling's name, also in inline fragments. Validation compares them pairwise."""
    names: list[str] = []
    waiting = [getattr(node, "selection_set", None)]
    while waiting:
        for selection in _selections(waiting.pop()):
            if isinstance(selection, FieldNode):
                names.append(selection.alias.value if selection.alias else selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
    return len(names) - len(set(names))


def _is_connection(type_: GraphQLNamedType | None) -> bool:
    return type_ is not None and type_.name.endswith("Connection")


def _is_list(field: GraphQLField | None) -> bool:
    if field is None:
        return False
    type_ = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return isinstance(type_, GraphQLList)
