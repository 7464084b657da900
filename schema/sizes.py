"""Estimates the length of lists in cost reports from the arguments of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from graphql import EnumValueNode, FieldNode, GraphQLField, OperationDefinitionNode, StringValueNode, VariableNode

_MAX_DAYS: Final = 366
_DAYS_OF_A_MONTH: Final = 31
# A report's values are computed before the response is built and cost less than lookups: this many count as one.
_DISCOUNT: Final = 20
# Lines per bucket for each grouping, as a multiple of the number of providers.
_LINES: Final[Mapping[str, int]] = {"PROVIDER": 1, "CONSOLE": 3, "USER": 5, "VM": 5}
WORD_ARGUMENTS: Final = ("granularity", "groupBy", "start", "end")  # those that `rows_cost` reads
# Lists whose rows are counted at the root field that has the arguments.
MEASURED_LISTS: Final = frozenset({"CostReport.buckets", "CostComparison.rows"})
_VMS_A_DAY: Final = 10


class Words:
    """Reads string and enum arguments: literals, variables and their defaults."""

    def __init__(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {
            definition.variable.name.value: _word(definition.default_value)
            for definition in operation.variable_definitions or ()
        } | dict(variables)

    def of(self, node: FieldNode, field: GraphQLField | None, name: str) -> str | None:
        """Return an argument's value, or None if it is missing or not a string."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}.get(name)
        found = self._values.get(given.name.value) if isinstance(given, VariableNode) else _word(given)
        if found is None and field is not None and name in field.args:
            found = getattr(field.args[name].default_value, "value", None)
        return found if isinstance(found, str) else None


def rows_cost(name: str, node: FieldNode, field: GraphQLField | None, words: Words, cost_per_row: int) -> int:
    """Return the cost of a report's rows, at `cost_per_row` each."""
    match name:
        case "Query.costReport" | "Query.playerCostReport":
            rows = _buckets(words.of(node, field, "granularity"), _days(words, node, field))
        case "Query.currentMonthCosts":
            rows = _DAYS_OF_A_MONTH
        case "Query.costComparison":
            return min(_days(words, node, field), _DAYS_OF_A_MONTH) * _VMS_A_DAY * cost_per_row
        case _:
            rows = _buckets("HOUR", _MAX_DAYS)
    lines = _LINES.get(words.of(node, field, "groupBy") or "PROVIDER", max(_LINES.values()))
    return -(-rows * cost_per_row * lines // _DISCOUNT)


def _buckets(granularity: str | None, days: int) -> int:
    match granularity:
        case "HOUR":
            return days * 24
        case "MONTH":
            return days // 28 + 2
    return days


def _days(words: Words, node: FieldNode, field: GraphQLField | None) -> int:
    """Return the days that a report covers, or the maximum if the dates are invalid (execution rejects those)."""
    try:
        start = date.fromisoformat(words.of(node, field, "start") or "")
        end = date.fromisoformat(words.of(node, field, "end") or "")
    except ValueError:
        return _MAX_DAYS
    return min(max((end - start).days + 1, 1), _MAX_DAYS)


def _word(node: object) -> str | None:
    return node.value if isinstance(node, StringValueNode | EnumValueNode) else None
