"""Converts REST parameters to GraphQL variables and validates them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNonNull,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
    parse,
    type_from_ast,
)
from graphql.utilities import validate_input_value

from schema.root import SCHEMA

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_NEEDED: Final = "is required"
_TOO_DEEP: Final = "is nested too deeply"

Path = tuple[str, ...]


class UnfitError(Exception):
    """A value is missing or does not fit its variable. `path` is the variable, then fields of its input."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class Variables:
    """The variables of a document with one operation."""

    def __init__(self, document: str) -> None:
        (operation,) = (part for part in parse(document).definitions if isinstance(part, OperationDefinitionNode))
        self._types: dict[str, GraphQLInputType] = {}
        self.required: set[str] = set()
        for one in operation.variable_definitions or ():
            kind: Any = type_from_ast(SCHEMA, one.type)
            self._types[one.variable.name.value] = kind
            if isinstance(kind, GraphQLNonNull) and one.default_value is None:
                self.required.add(one.variable.name.value)

    @property
    def names(self) -> set[str]:
        return set(self._types)

    def type_of(self, path: Path) -> GraphQLInputType:
        """Return the type of a variable or of a field of its input. Raise KeyError for unknown names."""
        found = self._types[path[0]]
        for name in path[1:]:
            found = _fields(found)[name].type
        return found

    def read(self, path: Path, texts: Sequence[str]) -> Any:
        """Convert texts from a URL. Raise UnfitError."""
        kind = self.type_of(path)
        if is_list_type(get_nullable_type(kind)):
            return [_read(get_named_type(kind), path, text) for text in texts]
        if len(texts) > 1:
            raise UnfitError(path, "must be given only once")
        return _read(get_named_type(kind), path, texts[0])

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise UnfitError for the first value that is missing or does not fit."""
        for name in sorted(self.required - set(values)):
            _check_fields(get_nullable_type(self._types[name]), name, {})
            raise UnfitError((name,), _NEEDED)
        for name, value in values.items():
            kind = self._types[name]
            _check_fields(get_nullable_type(kind), name, value)
            try:
                validate_input_value(value, kind, _raiser(name), True)
            except RecursionError:
                raise UnfitError((name,), _TOO_DEEP) from None


def _read(kind: Any, path: Path, text: str) -> Any:
    """Convert a text. Enum values may be in lower case, as is usual in URLs."""
    if isinstance(kind, GraphQLEnumType):
        return text.upper()
    match kind.name:
        case "Int" if _INTEGER.fullmatch(text):
            return int(text)
        case "Float" if _NUMBER.fullmatch(text):
            return float(text)
        case "Boolean" if text in ("true", "false"):
            return text == "true"
        case "Int" | "Float":
            raise UnfitError(path, "must be a number")
        case "Boolean":
            raise UnfitError(path, "must be true or false")
    return text


def _check_fields(kind: object, name: str, value: object) -> None:
    """Raise UnfitError for unknown or missing fields. GraphQL's own messages would repeat the whole input."""
    if not isinstance(kind, GraphQLInputObjectType) or not isinstance(value, Mapping):
        return
    for field in value:
        if field not in kind.fields:
            raise UnfitError((name, field), "there is no such field")
    for field, described in kind.fields.items():
        if is_required_input_field(described) and field not in value:
            raise UnfitError((name, field), _NEEDED)


def _fields(kind: GraphQLInputType) -> Any:
    found: Any = get_named_type(kind)
    return found.fields


def _raiser(name: str) -> Any:
    def fail(error: GraphQLError, path: list[str | int]) -> None:
        raise UnfitError((name, *map(str, path)), error.message)

    return fail
