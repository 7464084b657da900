"""A value of any type that our messages are made of, with every field filled."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

_VALUES: Final[dict[type, object]] = {
    str: "words",
    int: 7,
    float: 1.5,
    bool: True,
    Decimal: Decimal("1.25"),
    datetime: datetime(2026, 11, 30, 12, 0, 1, 500_000, tzinfo=UTC),
    timedelta: timedelta(seconds=90),
}


def sample(kind: Any) -> Any:
    """Return the value; of a union its first member, of an enumeration its first word, of a sequence one element."""
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) in {Union, UnionType}:
        return sample(next(member for member in get_args(kind) if member is not NoneType))
    if get_origin(kind) in {list, tuple}:
        return get_origin(kind)([sample(get_args(kind)[0])])
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: sample(hints[field.name]) for field in fields(kind)})  # type: ignore[operator]
    if issubclass(kind, Enum):
        return next(iter(kind))
    return _VALUES[kind]
