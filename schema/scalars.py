"""Money that never passes through a float, and moments that always say UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import strawberry
from graphql import FloatValueNode, IntValueNode, StringValueNode, ValueNode
from strawberry.types.scalar import ScalarDefinition

_MAX_DIGITS: Final = 40


def decimal_text(value: object) -> str:
    """In full, without exponent: 0.0000001, not 1E-7."""
    if not isinstance(value, Decimal):
        raise TypeError("money is a Decimal")
    return format(value, "f")


def parsed_decimal(value: object) -> Decimal:
    """From a string or an integer. A float is read as the digits it is written with, which are what was sent."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('Decimal must be a string such as "0.45".')
    return _decimal(str(value))


def decimal_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> Decimal:
    if not isinstance(node, StringValueNode | IntValueNode | FloatValueNode):
        raise ValueError('Decimal must be a string such as "0.45".')
    return _decimal(node.value)


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"Decimal must have at most {_MAX_DIGITS} digits.")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError('Decimal must be a string such as "0.45".') from None
    if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
        raise ValueError("Decimal must be a finite number of ordinary size.")
    return value


def moment_text(value: object) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError("a moment is a datetime with a time zone")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parsed_moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError('DateTime must be an RFC 3339 string with an offset, such as "2026-05-01T12:00:00Z".')
    return moment.astimezone(UTC)


def parsed_date(value: object) -> date:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else _no_date()
    except ValueError:
        return _no_date()


def _no_date() -> date:
    raise ValueError('Date must be a string such as "2026-05-01".')


def _date_text(value: object) -> str:
    assert isinstance(value, date)
    return value.isoformat()


SCALARS: Final[dict[object, ScalarDefinition]] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description="Exact, serialised as a string: money never passes through a float.",
        serialize=decimal_text,
        parse_value=parsed_decimal,
        parse_literal=decimal_literal,
    ),
    datetime: strawberry.scalar(
        name="DateTime", description="RFC 3339, UTC.", serialize=moment_text, parse_value=parsed_moment
    ),
    date: strawberry.scalar(
        name="Date", description="ISO 8601 calendar date, UTC.", serialize=_date_text, parse_value=parsed_date
    ),
}
