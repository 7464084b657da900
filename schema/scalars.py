"""The scalars Decimal, DateTime and Date.

Amounts never pass through a float. Times are always UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import strawberry
from graphql import FloatValueNode, IntValueNode, StringValueNode, ValueNode
from strawberry.types.scalar import ScalarDefinition

_MAX_DIGITS: Final = 33  # of a number written in full: the database stores 34, and sums need room
_EXACT_DIGITS: Final = 15  # of a JSON number, which is parsed as a float
_EXACT_WHOLE: Final = 2**53  # a float represents every integer up to here exactly
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}):([0-9]{2})(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII | re.IGNORECASE,
)


def decimal_text(value: object) -> str:
    """Return the number in full, without an exponent: 0.0000001, not 1E-7."""
    if not isinstance(value, Decimal):
        raise TypeError("money is a Decimal")
    return format(value, "f")


def parsed_decimal(value: object) -> Decimal:
    """Parse a string or a number. Raise ValueError for a JSON number that a float cannot represent exactly."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _no_decimal()
    read = _decimal(str(value))
    if isinstance(value, float) and (len(read.as_tuple().digits) > _EXACT_DIGITS or abs(value) >= _EXACT_WHOLE):
        raise ValueError("A Decimal with more than 15 digits must be a string.")
    return read


def decimal_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> Decimal:
    """Parse a literal in a document. It keeps all its digits."""
    if not isinstance(node, StringValueNode | IntValueNode | FloatValueNode):
        raise _no_decimal()
    return _decimal(node.value)


def _decimal(text: str) -> Decimal:
    if len(text) > 2 * _MAX_DIGITS:
        raise _too_long()
    if not _DECIMAL.fullmatch(text):
        raise _no_decimal()
    value = Decimal(text)
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if max(len(digits) + exponent, 1) + max(-exponent, 0) > _MAX_DIGITS:
        raise _too_long()
    return value


def _no_decimal() -> ValueError:
    return ValueError('Decimal must be a number in a string such as "0.45".')


def _too_long() -> ValueError:
    return ValueError(f"Decimal must have at most {_MAX_DIGITS} digits.")


def moment_text(value: object) -> str:
    """Return a time in RFC 3339 format, UTC, in milliseconds."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError("a moment is a datetime with a time zone")
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return f"{value.isoformat(timespec='milliseconds')[:-6]}Z"


def parsed_moment(value: object) -> datetime:
    """Parse an RFC 3339 time. A leap second becomes the first second of the next minute."""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _no_moment()
    minute, second, fraction, offset = match.groups(default="")
    leap = second == "60"
    text = f"{minute}:{'59' if leap else second}{fraction}{offset}".upper()
    try:
        return datetime.fromisoformat(text).astimezone(UTC) + timedelta(seconds=int(leap))
    except (ValueError, OverflowError):
        raise _no_moment() from None


def _no_moment() -> ValueError:
    return ValueError('DateTime must be an RFC 3339 string with an offset, such as "2026-05-01T12:00:00Z".')


def parsed_date(value: object) -> date:
    """Parse a calendar date. Raise ValueError for any other text."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise _no_date()
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise _no_date() from None


def _no_date() -> ValueError:
    return ValueError('Date must be a string such as "2026-05-01".')


def _date_text(value: object) -> str:
    assert isinstance(value, date)
    return value.isoformat()


SCALARS: Final[dict[object, ScalarDefinition]] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description="An exact decimal number, serialised as a string. Accepts a string or a number of up to 33 digits.",
        serialize=decimal_text,
        parse_value=parsed_decimal,
        parse_literal=decimal_literal,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A time in RFC 3339 format, serialised in UTC. Accepts any offset.",
        serialize=moment_text,
        parse_value=parsed_moment,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A calendar date in ISO 8601 format (YYYY-MM-DD), UTC.",
        serialize=_date_text,
        parse_value=parsed_date,
    ),
}
