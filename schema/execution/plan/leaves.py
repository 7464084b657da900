"""Scalars and enums of an answer, as source text that converts the usual Python values without a call."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from graphql import Executor, GraphQLEnumType, GraphQLLeafType
from graphql.pyutils import Undefined

# What an accepted value of a built-in scalar looks like; `{v}` is a variable, `{bound}` the same where it is bound.
_ACCEPTED: Final = {
    "String": "{bound}.__class__ is str",
    "ID": "{bound}.__class__ is str",
    "Int": "{bound}.__class__ is int and -2147483648 <= {v} <= 2147483647",
    "Float": "{bound}.__class__ is float and {v} - {v} == 0.0",  # neither infinite nor NaN
    "Boolean": "{bound}.__class__ is bool",
}


class NotAcceptedError(Exception):
    """The compiled code has no answer for a value. graphql-core completes it."""


def converter(type_: GraphQLLeafType) -> Callable[[Any], Any]:
    """Return the function that makes any value that is not null the answer's."""
    complete = Executor.complete_leaf_value
    coerce = type_.coerce_output_value

    def convert(value: Any) -> Any:
        if value is None or isinstance(value, Exception):
            raise NotAcceptedError
        made = coerce(value)
        return complete(type_, value) if made is None or made is Undefined else made

    return convert


def leaf_source(name: str, v: str, bound: str, convert: str, *, nullable: bool, enum: str | None = None) -> str:
    """Return an expression of the response's value.

    `convert` names the function for values of other classes, `enum` the class of an enum's members.
    """
    if enum is not None:
        kept = f"({v}._name_ if {v if nullable else bound}.__class__ is {enum} else {convert}({v}))"
        return f"(None if {bound} is None else {kept})" if nullable else kept
    accepted = _ACCEPTED.get(name)
    if accepted is not None:
        test = accepted.format(v=v, bound=v if nullable else bound)
        kept = f"({v} if {test} else {convert}({v}))"
        return f"(None if {bound} is None else {kept})" if nullable else kept
    called = f"{convert}({v})" if nullable else f"{convert}({bound})"
    return f"(None if {bound} is None else {called})" if nullable else called


def enum_class(type_: GraphQLLeafType) -> type[Enum] | None:
    """Return the class with members named like an enum's values, if there is one."""
    if not isinstance(type_, GraphQLEnumType):
        return None
    found = getattr(type_, "wrapped_cls", None)
    if not (isinstance(found, type) and issubclass(found, Enum)):
        return None
    return found if all(type_.coerce_output_value(member) == member.name for member in found) else None
