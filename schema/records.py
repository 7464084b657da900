"""Types that show one record: each field is read from the record on demand, and names the columns that it needs.

A query reads only the columns of the fields that it selects, and those that are always needed to check access and to
sort lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeVar

from graphql import GraphQLObjectType

from schema.execution.plan.fields import origin_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class From:
    """How a field's value is read from a record, and from which of its columns."""

    columns: frozenset[str]
    read: Callable[[Any], Any] | None = None  # None: by a resolver


@dataclass(frozen=True, slots=True)
class _Shown:
    model: type[Any]
    always: frozenset[str]
    fields: Mapping[str, From]


class _Lazy:
    """An attribute that is read from the record, unless the object has it itself."""

    __slots__ = ("_name", "_read")

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self._name = name
        self._read = read

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._read(instance.document)
        return value


_TYPES: Final[dict[type[Any], _Shown]] = {}


def same(*names: str) -> dict[str, From]:
    """Return fields that show the column of the same name as it is."""
    return {name: From(frozenset({name}), attrgetter(name)) for name in names}


def made(read: Callable[[Any], Any], *columns: str) -> From:
    """Return a field with a value that `read` computes from these columns."""
    return From(frozenset(columns), read)


def resolved(*columns: str) -> From:
    """Return a field with a resolver that reads these columns."""
    return From(frozenset(columns))


def show(type_: Any, model: type[Any], always: tuple[str, ...], fields: Mapping[str, From]) -> None:
    """Let a Strawberry type, which has a private `document`, show records of a model."""
    _TYPES[type_] = _Shown(model, frozenset(always), fields)
    reads = {name: each.read for name, each in fields.items() if each.read is not None}
    type_.__reads__ = {name: name if isinstance(read, attrgetter) else read for name, read in reads.items()}
    for name, each in fields.items():
        if each.read is not None:
            setattr(type_, name, _Lazy(name, each.read))


def shown_by(type_: type[T], document: object) -> T:
    """Return the object that shows a record."""
    shown: Any = object.__new__(type_)
    shown.document = document
    return shown  # type: ignore[no-any-return]  # a row has no type


def columns_of(selected: Mapping[GraphQLObjectType, frozenset[str]]) -> dict[type[Any], frozenset[str]]:
    """Return the columns of each model that an operation needs, by the fields that it selects of each type."""
    needed: dict[type[Any], frozenset[str]] = {}
    for type_, names in selected.items():
        shown = _TYPES.get(origin_of(type_))
        if shown is not None:
            needed[shown.model] = shown.always.union(*(shown.fields[name].columns for name in names))
    return needed
