"""Rows: stored documents with some of their model's fields, read without building and validating a model.

A row has the attributes of the columns that were asked for, with the types that the model declares, and the model's
own properties and methods. It is for responses, which read and never write. Each column is checked as it is read: a
document with a value that the model does not allow raises UnreadableRecordError, as with ODMantic, but for these
columns alone.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from typing import Any, Final

from bson.decimal128 import Decimal128
from odmantic import EmbeddedModel, Model
from pydantic_core import PydanticUndefined

Read = Callable[[Any], Any]
_MISSING: Final = object()
_PLAIN: Final = (str, bool, bytes)


class Row:
    """The columns of one document as attributes."""


class RowReader:
    """Makes rows of one model."""

    def __init__(self, model: type[Model], columns: frozenset[str]) -> None:
        fields: Mapping[str, Any] = model.__odm_fields__
        self.projection = {fields[name].key_name: 1 for name in sorted(columns)}
        self._columns = [_Column(model, name, fields[name].key_name) for name in sorted(columns)]
        # Return the row. Raises ValueError, TypeError or KeyError if a column cannot be read.
        self.read: Read = _compiled(_row_class(model), self._columns)

    def unreadable(self, raw: Mapping[str, Any]) -> list[str]:
        """Return the names of the columns that cannot be read."""
        return [column.name for column in self._columns if not column.can_read(raw)]


def _compiled(class_: type[Row], columns: list[_Column]) -> Read:
    """Return a function that reads all columns, without a call for texts and for what is null as it may be."""
    names: dict[str, Any] = {"row_class": class_, "MISSING": _MISSING}
    lines = ["def read(raw):", "    row = row_class()", "    values = row.__dict__", "    get = raw.get"]
    for number, column in enumerate(columns):
        names[f"read{number}"], names[f"default{number}"] = column.read, column.default
        kept = "v.__class__ is str" if column.is_text else "False"
        if column.is_nullable:
            kept += " or v is None"
        lines += [
            f"    v = get({column.key!r}, MISSING)",
            f"    values[{column.name!r}] = v if {kept} else default{number}() if v is MISSING else read{number}(v)",
        ]
    exec(compile("\n".join([*lines, "    return row"]), "<row>", "exec"), names)  # noqa: S102 - made here
    read: Read = names["read"]
    return read


class _Column:
    __slots__ = ("_factory", "_value", "is_nullable", "is_text", "key", "name", "read")

    def __init__(self, model: type[Model] | type[EmbeddedModel], name: str, key: str) -> None:
        declared = model.model_fields[name]
        self.name, self.key = name, key
        self.read = _reader_of(declared.annotation)
        kinds = set(typing.get_args(declared.annotation)) or {declared.annotation}
        self.is_text, self.is_nullable = str in kinds and kinds <= {str, type(None)}, type(None) in kinds
        self._factory: Any = declared.default_factory
        self._value = declared.default

    def default(self) -> Any:
        if self._factory is not None:
            return self._factory()
        if self._value is PydanticUndefined:
            raise KeyError(self.name)
        return self._value

    def can_read(self, raw: Mapping[str, Any]) -> bool:
        try:
            self.read(raw[self.key]) if self.key in raw else self.default()
        except (ValueError, TypeError, KeyError):
            return False
        return True


@lru_cache(maxsize=256)
def row_reader(model: type[Model], columns: frozenset[str]) -> RowReader:
    """Return the reader of these columns, which is made once."""
    return RowReader(model, columns)


@cache
def _row_class(model: type[Model] | type[EmbeddedModel]) -> type[Row]:
    own = {
        name: member
        for name, member in vars(model).items()
        if isinstance(member, property | types.FunctionType) and not name.startswith("_")
    }
    return type(f"{model.__name__}Row", (Row,), own)


def _reader_of(annotation: Any) -> Read:
    """Return the function that reads a stored value of this type. It raises ValueError or TypeError for another."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _reader_of(arguments[0])
    if origin in (types.UnionType, typing.Union):
        (inner,) = (each for each in arguments if each is not type(None))
        return _optional(_reader_of(inner))
    if origin is list:
        return _list(_reader_of(arguments[0]))
    if origin is dict:
        return _checked(dict)
    return _reader_of_class(annotation)


def _reader_of_class(class_: Any) -> Read:
    if issubclass(class_, Enum):
        members = {member.value: member for member in class_}
        return lambda value: members[_hashable(value)]
    if issubclass(class_, EmbeddedModel):
        return _embedded(class_)
    if issubclass(class_, datetime):  # odmantic puts classes of its own in place of these
        return _moment
    if issubclass(class_, Decimal):
        return _decimal
    if class_ in (int, float):
        return _int if class_ is int else _float
    if class_ in _PLAIN:
        return _checked(class_)
    raise TypeError(f"rows have no values of {class_}")


def _optional(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _list(read: Read) -> Read:
    def read_all(value: Any) -> list[Any]:
        if value.__class__ is not list:
            raise TypeError
        return [read(item) for item in value]

    return read_all


def _checked(class_: type) -> Read:
    def read(value: Any) -> Any:
        if value.__class__ is class_:
            return value
        raise TypeError

    return read


def _embedded(class_: type[EmbeddedModel]) -> Read:
    fields: Mapping[str, Any] = class_.__odm_fields__
    read_columns = _compiled(_row_class(class_), [_Column(class_, name, fields[name].key_name) for name in fields])

    def read(value: Any) -> Any:
        if value.__class__ is not dict:
            raise TypeError
        return read_columns(value)

    return read


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError


def _float(value: Any) -> float:
    return value if value.__class__ is float else float(_int(value))


def _moment(value: Any) -> datetime:
    if value.__class__ is datetime:
        return value.replace(tzinfo=UTC)  # the driver's own UTC compares ten times slower
    raise TypeError


def _decimal(value: Any) -> Decimal:
    if value.__class__ is Decimal128:
        return _decimal_of(value.bid)
    raise TypeError


@lru_cache(maxsize=4096)
def _decimal_of(bid: bytes) -> Decimal:
    """Return the value of its 16 bytes. The driver is slow at it, and prices are few."""
    return Decimal128.from_bid(bid).to_decimal()


def _hashable(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError
