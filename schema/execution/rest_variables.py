"""What the variables of a document may be, told by the names of those who do not speak GraphQL."""

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
_NEEDED: Final = "it is needed"
_TOO_DEEP: Final = "it is nested too deeply"

Path = tuple[str, ...]


class UnfitError(Exception):
    """A value does not fit its variable, or is lacking. `path` leads to it: the variable, then fields of its input."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class Variables:
    """Those of a document's only operation."""

    def __init__(self, document: str) -> None:
        (operation,) = (part for part in parse(document).definitions if isinstance(part, OperationDefinitionNode))
        self._types: dict[str, GraphQLInputType] = {}
        self._required: set[str] = set()
        for one in operation.variable_definitions or ():
            kind: Any = type_from_ast(SCHEMA, one.type)
            self._types[one.variable.name.value] = kind
            if isinstance(kind, GraphQLNonNull) and one.default_value is None:
                self._required.add(one.variable.name.value)

    @property
    def names(self) -> set[str]:
        return set(self._types)

    def type_of(self, path: Path) -> GraphQLInputType:
        """Of a variable or of a field of its input. KeyError where there is no such thing."""
        found = self._types[path[0]]
        for name in path[1:]:
            found = _fields(found)[name].type
        return found

    def read(self, path: Path, texts: Sequence[str]) -> Any:
        """The value that texts of a URL mean. Raises UnfitError."""
        kind = self.type_of(path)
        if is_list_type(get_nullable_type(kind)):
            return [_read(get_named_type(kind), path, text) for text in texts]
        if len(texts) > 1:
            raise UnfitError(path, "it is given twice")
        return _read(get_named_type(kind), path, texts[0])

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises UnfitError for the first value that does not fit, or is lacking."""
        for name in sorted(self._required - set(values)):
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
    """Words of an enum are taken in small letters too: that is how they look in a URL."""
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
            raise UnfitError(path, "it must be a number")
        case "Boolean":
            raise UnfitError(path, "it must be true or false")
    return text


def _check_fields(kind: object, name: str, value: object) -> None:
    """GraphQL's own words would show all that was sent where a field is unknown or lacking."""
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
