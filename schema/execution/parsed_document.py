"""A valid document with what is known of it: its operations, their sizes and their compiled plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import DocumentNode, FieldNode, OperationDefinitionNode

from schema.execution.complexity import Measurement, sizing_variables
from schema.execution.errors import BAD_USER_INPUT
from schema.execution.limits import Limits, check_document, parse_within
from schema.execution.plan import Compiled, NotPlannedError, OperationPlan, PlanCache
from schema.execution.requests import refused
from schema.records import columns_of
from schema.root import SCHEMA

_MEASUREMENTS: Final = 64  # of one document, by the variables that decide its size
_REMEMBERED_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A parsed document, with the sizes and plans of its operations, which are computed once."""

    document: DocumentNode
    operations: tuple[OperationDefinitionNode, ...]
    introspects: bool
    sizing: tuple[str, ...]
    plans: dict[str | None, OperationPlan] = field(default_factory=dict)
    measured: dict[Any, Measurement] = field(default_factory=dict)

    def measure(self, limits: Limits, variables: Mapping[str, Any] | None, name: str | None) -> Measurement:
        """Return the size of an operation, cached by the variables that decide it. Raise QueryTooComplexError."""
        known = name if name is None or name in self.names else False  # a caller's own words are not kept
        key = (known, *(_remembered(each, variables or {}) for each in self.sizing))
        if None in key[1:]:
            return check_document(SCHEMA, self.document, limits, variables, name)
        if key not in self.measured:
            if len(self.measured) >= _MEASUREMENTS:
                self.measured.clear()
            self.measured[key] = check_document(SCHEMA, self.document, limits, variables, name)
        return self.measured[key]

    @property
    def names(self) -> set[str]:
        """Return the names of the document's operations."""
        return {operation.name.value for operation in self.operations if operation.name}

    def plan(self, operation: OperationDefinitionNode, cache: PlanCache[Compiled | NotPlannedError]) -> OperationPlan:
        """Return the plan of an operation, compiled when it is first asked for."""
        name = operation.name.value if operation.name else None
        if name not in self.plans:
            self.plans[name] = OperationPlan(SCHEMA, self.document, operation, columns_of, cache)
        return self.plans[name]


def parse(text: str, limits: Limits) -> ParsedDocument:
    """Parse a document within the limits. Raise GraphQLError if it cannot be parsed."""
    document = parse_within(text, limits)
    operations = tuple(d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return ParsedDocument(document, operations, _introspects(document), sizing_variables(document))


def _remembered(name: str, variables: Mapping[str, Any]) -> tuple[type, Any] | None:
    """Return a variable as a part of a key, or None if its value prevents caching."""
    value = variables.get(name, ...)
    if isinstance(value, str):
        return (str, value) if len(value) <= _REMEMBERED_CHARACTERS else None
    return (type(value), value) if value is ... or value is None or isinstance(value, bool | int | float) else None


def chosen_operation(operations: tuple[OperationDefinitionNode, ...], name: str | None) -> OperationDefinitionNode:
    """Return the operation of that name, or the only one. Raise RequestFailedError if there is none."""
    if not name:
        if len(operations) == 1:
            return operations[0]
        raise refused("operationName must say which of the document's operations to run", BAD_USER_INPUT)
    for operation in operations:
        if operation.name and operation.name.value == name:
            return operation
    raise refused("the document has no operation of that operationName", BAD_USER_INPUT)


def _introspects(document: DocumentNode) -> bool:
    waiting: list[Any] = list(document.definitions)
    while waiting:
        node = waiting.pop()
        if isinstance(node, FieldNode) and node.name.value in ("__schema", "__type"):
            return True
        if (selection_set := getattr(node, "selection_set", None)) is not None:
            waiting.extend(selection_set.selections)
    return False
