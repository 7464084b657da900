"""Random documents that the schema allows: aliases, arguments, variables, fragments, directives, type names."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)

_DEEPEST: Final = 6
_SCALARS: Final[dict[str, list[Any]]] = {
    "Int": [1, 2, 7, 50],
    "Float": [0.5, 2.0, -77.25],
    "String": ["ann", "", "x"],
    "ID": ["VM:1", "nothing"],
    "Boolean": [True, False],
    "Decimal": ["0.45", "1"],
    "Date": ["2026-05-01", "2026-05-03"],
    "DateTime": ["2026-05-01T12:00:00Z"],
}


class RandomDocument:
    """The text of a document with one query, and values of its variables."""

    def __init__(self, schema: GraphQLSchema, random: Random) -> None:
        self._schema = schema
        self._random = random
        self._declared: list[str] = []
        self._fragments: list[str] = []
        self._aliases = 0
        self.variables: dict[str, Any] = {}
        query = schema.query_type
        assert query is not None
        selected = self._selection(query, 0)
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        self.text = "\n".join([f"query Q{declared} {selected}", *self._fragments])

    def _selection(self, type_: Any, depth: int) -> str:
        parts = [self._part(type_, depth) for _ in range(self._random.randint(1, 2 if depth == 0 else 4))]
        return f"{{ {' '.join(parts)} }}"

    def _part(self, type_: Any, depth: int) -> str:
        roll = self._random.random()
        if roll < 0.08:
            return f"__typename{self._directive()}"
        if depth > 0 and roll < (0.5 if is_abstract_type(type_) else 0.2):
            on = self._narrowed(type_)
            if self._random.random() < 0.5:
                return f"... on {on.name}{self._directive()} {self._selection(on, depth)}"
            return f"...{self._fragment(on, depth)}{self._directive()}"
        return self._field(type_, depth)

    def _narrowed(self, type_: Any) -> GraphQLNamedType:
        """A type whose fields an object of this type may have."""
        kinds = list(self._schema.get_possible_types(type_)) if is_abstract_type(type_) else [type_, *type_.interfaces]
        return self._random.choice(kinds)

    def _fragment(self, on: GraphQLNamedType, depth: int) -> str:
        selected = self._selection(on, depth)  # may add fragments itself
        name = f"F{len(self._fragments)}"
        self._fragments.append(f"fragment {name} on {on.name} {selected}")
        return name

    def _field(self, type_: Any, depth: int) -> str:
        fields = {
            name: field
            for name, field in type_.fields.items()
            if depth < _DEEPEST or is_leaf_type(get_named_type(field.type))
        }
        if not fields:
            return "__typename"
        name = self._random.choice(list(fields))
        arguments = self._arguments(fields[name].args)
        alias = ""
        if arguments or depth == 0 or self._random.random() < 0.3:
            self._aliases += 1
            alias = f"a{self._aliases}: "
        inner = get_named_type(fields[name].type)
        below = "" if is_leaf_type(inner) else f" {self._selection(inner, depth + 1)}"
        return f"{alias}{name}{arguments}{self._directive()}{below}"

    def _directive(self) -> str:
        if self._random.random() > 0.12:
            return ""
        value = self._random.choice(["true", "false", None])
        return f" @{self._random.choice(['skip', 'include'])}(if: {value or self._variable('Boolean!', True)})"

    def _arguments(self, declared: dict[str, GraphQLArgument]) -> str:
        given = [
            f"{name}: {self._given(argument)}"
            for name, argument in declared.items()
            if is_required_argument(argument) or self._random.random() < 0.3
        ]
        return f"({', '.join(given)})" if given else ""

    def _given(self, argument: GraphQLArgument) -> str:
        value = self._value(argument.type)
        if self._random.random() < 0.4:
            return self._variable(str(argument.type), value)
        return self._literal(argument.type, value)

    def _variable(self, type_: str, value: Any) -> str:
        name = f"v{len(self._declared)}"
        if type_ == "Boolean!":
            value = self._random.random() < 0.5
        if self._random.random() < 0.2 and isinstance(value, bool | int):
            self._declared.append(f"${name}: {type_} = {json.dumps(value)}")
        else:
            self._declared.append(f"${name}: {type_}")
            self.variables[name] = value
        return f"${name}"

    def _value(self, type_: Any) -> Any:
        if is_non_null_type(type_):
            return self._value(type_.of_type)
        if is_list_type(type_):
            return [self._value(type_.of_type) for _ in range(self._random.randint(0, 2))]
        if isinstance(type_, GraphQLEnumType):
            return self._random.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            if self._random.random() < 0.2:
                return dict.fromkeys(type_.fields, 0.0)  # coordinates that resolvers refuse
            return {name: self._value(field.type) for name, field in type_.fields.items()}
        return self._random.choice(_SCALARS[type_.name])

    def _literal(self, type_: Any, value: Any) -> str:
        inner = type_.of_type if is_non_null_type(type_) else type_
        if isinstance(value, list):
            return f"[{', '.join(self._literal(inner.of_type, each) for each in value)}]"
        if isinstance(inner, GraphQLEnumType):
            return str(value)
        if isinstance(inner, GraphQLInputObjectType):
            return f"{{{', '.join(f'{n}: {self._literal(inner.fields[n].type, v)}' for n, v in value.items())}}}"
        return json.dumps(value)
