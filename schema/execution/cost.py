"""The cost of a field: how many rows it may return, and the work before its first value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    IntValueNode,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableNode,
)

# Sums stop growing here, far above any limit, so that huge numbers of a hostile caller cost no time.
CEILING: Final = 10**12

PAGE_ARGUMENTS: Final = ("first", "last", "limit")
_USUAL_ROWS: Final = 10
# Rows of lists without a page size. All others count as ten.
_ROWS: Final[Mapping[str, int]] = {
    "Query.consoles": 9,
    "Query.providers": 2,
    "Query.regions": 50,
    "Query.locations": 50,
    "Console.providers": 2,
    "Launch.steps": 9,
    "CostBucket.lines": 2,
    "SaveConflict.versions": 3,
    "__Schema.types": 100,
    "__Schema.directives": 8,
    "__Type.interfaces": 2,
    "__Type.possibleTypes": 5,
    "__Field.args": 3,
    "__Directive.args": 2,
}
# In values of a response. All other fields cost one, as each value does.
_WEIGHTS: Final[Mapping[str, int]] = {
    "Query.closestHostnodes": 50,
    "Query.closestRegions": 50,
    "Query.placements": 50,
    "Query.costEstimate": 50,
    "Query.costReport": 100,
    "Query.receipts": 100,
    "Query.playerCostReport": 100,
    "Query.currentMonthCosts": 100,
    "Mutation.launchGame": 500,
    "Mutation.createVm": 500,
    "Mutation.scheduleLaunch": 50,
    "Query.saves": 100,  # the bucket lists the objects of all slots
    "SaveVersion.files": 5,
    "SaveVersion.damaged": 5,
    **dict.fromkeys(("Mutation.restoreSave", "Mutation.keepSave", "Mutation.renameSave"), 200),
    **dict.fromkeys(("Mutation.deleteSave", "Mutation.undeleteSave"), 200),
    "Mutation.downloadSave": 50,
}


def rows(name: str) -> int:
    """Return the usual number of rows of a list."""
    return _ROWS.get(name, _USUAL_ROWS)


def weight(name: str) -> int:
    """Return the cost of a field itself."""
    return _WEIGHTS.get(name, 1)


class PageSizes:
    """Reads the page sizes of one operation's fields, and keeps the largest."""

    def __init__(self, operation: OperationDefinitionNode, variables: Mapping[str, Any], unknown: int) -> None:
        self._values = _with_defaults(operation, variables)
        self._unknown = unknown
        self.largest = 0

    def of(self, node: FieldNode, field: GraphQLField | None) -> int | None:
        """Return the rows that a field's page arguments allow, or None if it has no such arguments."""
        declared = {} if field is None else {name: field.args[name] for name in PAGE_ARGUMENTS if name in field.args}
        if not declared:
            return None
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [self._whole_number(given.get(name), argument) for name, argument in declared.items()]
        size = max((size for size in sizes if size is not None), default=self._unknown)
        self.largest = max(self.largest, size)
        return max(size, 1)

    def _whole_number(self, node: ValueNode | None, argument: GraphQLArgument) -> int | None:
        """Return an argument's value or default; None if it is no number, which execution refuses."""
        value: object = Undefined
        if isinstance(node, VariableNode):
            value = self._values.get(node.name.value, Undefined)
        elif node is not None:
            value = _literal(node)
        if value is Undefined:
            value = _default(argument)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return max(0, min(value, CEILING))


def _with_defaults(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name in variables:
            values[name] = variables[name]
        elif definition.default_value is not None:
            values[name] = _literal(definition.default_value)
    return values


def _literal(node: ValueNode) -> int | None:
    """Return a literal's whole number, else None. Python refuses to parse numbers of thousands of digits."""
    if not isinstance(node, IntValueNode):
        return None
    return int(node.value) if len(node.value) <= len(str(CEILING)) else CEILING


def _default(argument: GraphQLArgument) -> object:
    if argument.default is None:
        return argument.default_value
    return argument.default.value if argument.default.literal is None else _literal(argument.default.literal)
