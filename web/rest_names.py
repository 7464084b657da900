"""Other spellings of parameters and body fields that REST clients may send.

Each name is also accepted in snake case (`game_id`). Clients of the earlier API send `console_type`, `user_latitude`
and `user_longitude`. Responses keep the names of the GraphQL contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_EARLIER: Final = {
    "console": ("console_type",),
    "latitude": ("user_latitude",),
    "longitude": ("user_longitude",),
}
# Bodies of the earlier API have the position beside the other fields.
_POSITION: Final = {"user_latitude": "latitude", "user_longitude": "longitude"}
_LOCATION: Final = "location"

V = TypeVar("V")


class ConflictingNamesError(Exception):
    """A value is given under two names, and differs."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other} are the same parameter and are given different values; send one of them")
        self.name = one


def spellings(name: str) -> tuple[str, ...]:
    """Return every name under which a value may come, the contract's own first."""
    snake = _CAPITAL.sub(lambda found: f"_{found[1].lower()}", name)
    return tuple(dict.fromkeys((name, snake, *_EARLIER.get(name, ()))))


def pick(values: Mapping[str, V], name: str) -> V | None:
    """Return the value of a name, however it is spelled; None if it is missing. Raise ConflictingNamesError."""
    given = [each for each in spellings(name) if each in values]
    for other in given[1:]:
        if values[other] != values[given[0]]:
            raise ConflictingNamesError(given[0], other)
    return values[given[0]] if given else None


def rename_fields(kind: object, value: Any) -> Any:
    """Return a value of an input type with the contract's names, and enum values in upper case.

    Unknown fields stay as they are, so that validation names them. Raise ConflictingNamesError.
    """
    named: object = get_named_type(kind)  # type: ignore[call-overload]  # any input type
    if isinstance(value, list):
        return [each if isinstance(each, list) else rename_fields(named, each) for each in value]
    if isinstance(named, GraphQLEnumType) and isinstance(value, str):
        return value.upper()
    if not isinstance(named, GraphQLInputObjectType) or not isinstance(value, dict):
        return value
    value = _with_location(named, value)
    known = {spelling: field for field in named.fields for spelling in spellings(field)}
    renamed = {name: each for name, each in value.items() if name not in known}
    for field in dict.fromkeys(known[name] for name in value if name in known):
        renamed[field] = rename_fields(named.fields[field].type, pick(value, field))
    return renamed


def _with_location(kind: GraphQLInputObjectType, value: dict[str, Any]) -> dict[str, Any]:
    """Move a position that stands beside the other fields into the input's `location`."""
    given = [name for name in _POSITION if name in value]
    if not given or _LOCATION not in kind.fields:
        return value
    position = {_POSITION[name]: value[name] for name in given}
    if value.get(_LOCATION, position) != position:
        raise ConflictingNamesError(_LOCATION, given[0])
    return {name: each for name, each in value.items() if name not in _POSITION} | {_LOCATION: position}


def known_spellings(names: Iterable[str]) -> set[str]:
    """Return all spellings of these names."""
    return {spelling for name in names for spelling in spellings(name)}
