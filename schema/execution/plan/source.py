"""Python source of the functions that complete an operation's values.

There is one function for each selection of an object type. It reads the attributes of one object, in the order of the
document, and returns the dictionary of the answer:

    def f3(o, R):
        if o.__class__ is not f3c: raise NotAccepted
        d = {'id': (v if (v := o.id).__class__ is str else l0(v)), 'console': None}
        R[5].append((d, o))
        return d

`R` is the state of one execution: for each field that is awaited the dictionaries that wait for it, with their parent
objects, and for each resolver with arguments the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from schema.execution.plan.fields import FieldPlan, How, origin_of
from schema.execution.plan.leaves import NotAcceptedError, converter, enum_class, leaf_source

Selected = Callable[[FieldPlan, GraphQLObjectType], list[FieldPlan]]


class Later:
    """A list that is still being made, in place of the list."""

    __slots__ = ("items",)

    def __init__(self, items: Any) -> None:
        self.items = items


class Source:
    """The source text of an operation's functions, and the objects that it names."""

    def __init__(self, schema: GraphQLSchema, selected: Selected) -> None:
        """Begin an empty source. `selected` returns the fields that a field selects of an object type."""
        self._schema = schema
        self._selected = selected
        self._lines: list[str] = []
        self._named: dict[str, Any] = {"NotAccepted": NotAcceptedError, "Later": Later, "later": _later}
        self._leaves: dict[str, str] = {}
        self._count = 0
        self._completing: list[tuple[FieldPlan, str]] = []

    def add(self, field: FieldPlan) -> None:
        """Write the function that completes values of a field, and those below it."""
        name = self._name("complete")
        value = self._value(field, field.definition.type, "v", "v")
        self._lines += [f"def {name}(v, R):", f"    return {value}"]
        self._completing.append((field, name))

    def compile(self) -> None:
        """Compile everything that was added, and give each field its function."""
        exec(compile("\n".join(self._lines), "<operation plan>", "exec"), self._named)  # noqa: S102 - made here
        for field, name in self._completing:
            field.complete = self._named[name]

    def _value(self, field: FieldPlan, type_: GraphQLOutputType, v: str, bound: str) -> str:
        """Return an expression that completes a value. `bound` is the text that binds the variable `v` to it."""
        if is_non_null_type(type_):
            return self._some(field, type_.of_type, v, bound, nullable=False)
        return self._some(field, type_, v, bound, nullable=True)

    def _some(self, field: FieldPlan, type_: Any, v: str, bound: str, *, nullable: bool) -> str:
        if is_leaf_type(type_):
            return self._leaf(type_, v, bound, nullable=nullable)
        if is_list_type(type_):
            return self._list(field, type_.of_type, v, bound, nullable=nullable)
        inner = self._abstract(field, type_) if is_abstract_type(type_) else self._object(field, type_)
        return f"(None if {bound} is None else {inner}({v}, R))" if nullable else f"{inner}({bound}, R)"

    def _leaf(self, type_: GraphQLLeafType, v: str, bound: str, *, nullable: bool) -> str:
        if type_.name not in self._leaves:
            name = self._leaves[type_.name] = self._name("leaf")
            self._named[name] = converter(type_)
            self._named[f"{name}_class"] = enum_class(type_)
        name = self._leaves[type_.name]
        enum = f"{name}_class" if self._named[f"{name}_class"] else None
        return leaf_source(type_.name, v, bound, name, nullable=nullable, enum=enum)

    def _list(self, field: FieldPlan, type_: GraphQLOutputType, v: str, bound: str, *, nullable: bool) -> str:
        item = self._name("v")
        value = self._value(field, type_, item, item)
        other = f"later({v})" if field.may_stream else "later(None)"
        made = f"([{value} for {item} in {v}] if {v if nullable else bound}.__class__ is list else {other})"
        return f"(None if {bound} is None else {made})" if nullable else made

    def _abstract(self, field: FieldPlan, type_: GraphQLAbstractType) -> str:
        name = self._name("abstract")
        kinds = {kind: self._object(field, kind) for kind in self._schema.get_possible_types(type_)}
        pairs = ", ".join(f"{inner}_class: {inner}" for inner in kinds.values())
        self._lines += [
            f"{name}_kinds = {{{pairs}}}",
            f"def {name}(o, R):",
            f"    kind = {name}_kinds.get(o.__class__)",
            "    if kind is None: raise NotAccepted",
            "    return kind(o, R)",
        ]
        return name

    def _object(self, field: FieldPlan, type_: GraphQLObjectType) -> str:
        name = self._name("object")
        self._named[f"{name}_class"] = origin_of(type_)
        members, waiting = [], []
        for each in self._selected(field, type_):
            members.append(f"{each.key!r}: {self._member(each)}")
            if each.is_awaited or each.may_stream:
                self.add(each)
            if each.is_awaited:
                waiting.append(f"    R[{each.slot}].append((d, o))")
            elif each.may_stream:
                waiting.append(f"    if d[{each.key!r}].__class__ is Later: R[{each.slot}].append((d, o))")
        self._lines += [
            f"def {name}(o, R):",
            f"    if o.__class__ is not {name}_class: raise NotAccepted",
            f"    d = {{{', '.join(members)}}}",
            *waiting,
            "    return d",
        ]
        return name

    def _member(self, field: FieldPlan) -> str:
        match field.how:
            case How.TYPENAME:
                return repr(field.parent_type.name)
            case How.ATTRIBUTE:
                found = self._attribute(field)
            case How.CALL:
                found = self._call(field)
            case _:
                return "None"
        v = self._name("v")
        return self._value(field, field.definition.type, v, f"({v} := {found})")

    def _attribute(self, field: FieldPlan) -> str:
        """Return the expression for a parent's attribute.

        A class with `__reads__` shows its `document`: an attribute of that name, or the result of a function of it.
        """
        name = field.strawberry.python_name
        read = getattr(origin_of(field.parent_type), "__reads__", {}).get(name)
        if read is None:
            return f"o.{name}"
        if isinstance(read, str):
            return f"o.document.{read}"
        called = self._name("read")
        self._named[called] = read
        return f"{called}(o.document)"

    def _call(self, field: FieldPlan) -> str:
        """Return the call of a resolver. Arguments are ready in its slot."""
        resolver = field.strawberry.base_resolver
        assert resolver is not None
        name = self._name("call")
        self._named[name] = resolver.wrapped_func
        own = "o" if resolver.self_parameter else ""
        if not field.has_arguments:
            return f"{name}({own})"
        return f"{name}({own}, **R[{field.arguments_slot}])" if own else f"{name}(**R[{field.arguments_slot}])"

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


def _later(value: Any) -> Later:
    if hasattr(value, "__aiter__"):
        return Later(value)
    raise NotAcceptedError
