"""One execution of a compiled operation: awaits what its fields wait for, a field at a time for all parents.

The compiled functions know no paths. When a value is not accepted, the path of its parent is looked for in the answer
as it is so far, and graphql-core's executor completes the value at that path. An error where null is not allowed makes
the nearest position null that may be, as in graphql-core; `collected_errors` drops errors below positions that are
null already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from graphql import ExecutionResult, Executor, is_non_null_type, located_error
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path, gather_with_cancel
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter, get_arguments
from strawberry.types.info import Info

from schema.execution.plan.fields import Compiled, FieldPlan, How
from schema.execution.plan.source import Later

Waiting = tuple[dict[str, Any], Any]  # the dictionary that a value is for, and the parent object


class PlanExecution:
    def __init__(self, executor: Executor[Any], compiled: Compiled, completed_exactly: Callable[[], None]) -> None:
        self._executor = executor
        self._compiled = compiled
        self._completed_exactly = completed_exactly
        self._state: list[Any] = [[] for _ in range(compiled.slots)]
        self._data: dict[str, Any] | None = dict.fromkeys(root.key for root in compiled.roots)
        for field in compiled.calls:
            self._prepare(field)

    async def run(self, *, serially: bool) -> ExecutionResult:
        begun: list[Awaitable[None]] = []
        for root in self._compiled.roots:
            if not serially:
                begun.append(self._root(root, self._begun(root)))
            elif self._data is not None:
                await self._root(root, self._begun(root))
        await _together(begun)
        return ExecutionResult(self._data, self._executor.collected_errors.errors or None)

    def _begun(self, root: FieldPlan) -> Any:
        """Return the value of a root field, an awaitable of it, or the exception that its resolver raised."""
        executor, node = self._executor, root.nodes[0]
        info = executor.build_resolve_info(
            root.definition, root.nodes, root.parent_type, Path(None, root.key, root.parent_type.name)
        )
        try:
            arguments = get_argument_values(
                root.definition, node, executor.variable_values, hide_suggestions=executor.hide_suggestions
            )
            return (root.definition.resolve or executor.field_resolver)(None, info, **arguments)
        except Exception as error:  # it is located where the value is completed
            return error

    async def _root(self, root: FieldPlan, value: Any) -> None:
        try:
            found = await value if optimized_is_awaitable(value) else value
        except Exception as error:  # it is located where the value is completed
            found = error
        if self._data is not None:
            await self._deliver(root, [(self._data, None)], [found])

    async def _resolve(self, field: FieldPlan) -> None:
        """Await a field of all parents that wait for it, and everything below."""
        waiting, self._state[field.slot] = self._state[field.slot], []
        if field.how is How.BATCH:
            values = await self._batch(field, waiting)
        elif field.how is How.AWAIT:
            values = await self._each(field, waiting)
        else:
            values = [await _listed(parent[field.key]) for parent, _ in waiting]
        await self._deliver(field, waiting, values)

    async def _batch(self, field: FieldPlan, waiting: Sequence[Waiting]) -> list[Any]:
        """Return the values of a field for all parents, or exceptions. Equal keys give the same object."""
        batch = field.batch
        keys = [_key(field, source) for _, source in waiting]
        shown: dict[Any, Any] = {None: None}
        try:
            wanted = [key for key in dict.fromkeys(keys) if key is not None and key is not _ALONE]
            loaded = await batch.load(self._executor.context_value, wanted) if wanted else {}
        except Exception as error:  # it is located where the values are completed
            shown = dict.fromkeys(keys, error) | shown
        else:
            for key in wanted:
                shown[key] = _shown(batch.show, loaded.get(key))
        alone = [one for one, key in zip(waiting, keys, strict=True) if key is _ALONE]
        values = iter(await self._each(field, alone) if alone else ())
        return [next(values) if key is _ALONE else shown[key] for key in keys]

    async def _each(self, field: FieldPlan, waiting: Sequence[Waiting]) -> list[Any]:
        self._prepare(field)
        arguments = self._state[field.arguments_slot]
        if isinstance(arguments, Exception):
            return [arguments for _ in waiting]
        resolver = field.resolver
        calls = [resolver(source, **arguments) for _, source in waiting]
        values = await asyncio.gather(*calls, return_exceptions=True)
        for value in values:
            if isinstance(value, asyncio.CancelledError):
                raise value
        return values

    def _prepare(self, field: FieldPlan) -> None:
        """Keep the arguments of a resolver, which are the same for all parents, or what is wrong with them."""
        try:
            self._state[field.arguments_slot] = self._arguments(field)
        except Exception as error:  # each parent's field fails with it
            self._state[field.arguments_slot] = error

    def _arguments(self, field: FieldPlan) -> dict[str, Any]:
        executor, strawberry = self._executor, field.strawberry
        path = Path(None, field.key, field.parent_type.name)  # resolvers that need their own path cannot be planned
        raw = executor.build_resolve_info(field.definition, field.nodes, field.parent_type, path)
        given = get_argument_values(
            field.definition, field.nodes[0], executor.variable_values, hide_suggestions=executor.hide_suggestions
        )
        schema: Any = executor.schema.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        _, arguments = get_arguments(
            field=strawberry,
            source=None,
            info=Info(_raw_info=raw, _field=strawberry),
            kwargs=given,
            config=schema.config,
            scalar_registry=schema.schema_converter.scalar_registry,
        )
        return arguments

    async def _deliver(self, field: FieldPlan, waiting: Sequence[Waiting], values: Sequence[Any]) -> None:
        """Complete the values of a field, and await what they wait for in turn."""
        awaited: list[Awaitable[None]] = []
        failed = _Failed(field, self)
        known: dict[int, Any] = {}  # what was completed before, of values that nothing is awaited for
        key, complete, state = field.key, field.complete, self._state
        for (parent, _), value in zip(waiting, values, strict=True):
            if id(value) in known:
                parent[key] = known[id(value)]
                continue
            marks = [(state[each.slot], len(state[each.slot])) for each in field.waiting]
            try:
                parent[key] = complete(value, state)
            except Exception:  # graphql-core says what it is
                for entries, mark in marks:
                    del entries[mark:]
                awaited += self._exactly(field, parent, value, failed)
            else:
                if not field.waiting:
                    known[id(value)] = parent[key]
        failed.end()
        later = [self._resolve(each) for each in field.waiting if state[each.slot]]
        await _together([*awaited, *later])

    def _exactly(self, field: FieldPlan, parent: dict[str, Any], value: Any, failed: _Failed) -> list[Awaitable[None]]:
        """Let graphql-core complete a value. Returns what is to be awaited for it."""
        path = failed.path_of(parent)
        if path is None:  # a position above is null already
            return []
        self._completed_exactly()
        executor = self._executor
        info = executor.build_resolve_info(field.definition, field.nodes, field.parent_type, path)
        try:
            made = executor.complete_value(field.definition.type, field.details, info, path, value, None)
        except Exception as error:
            failed.add(path, error)
            return []
        if optimized_is_awaitable(made):
            return [self._exactly_awaited(field, parent, path, made)]
        parent[field.key] = made
        return []

    async def _exactly_awaited(
        self, field: FieldPlan, parent: dict[str, Any], path: Path, made: Awaitable[Any]
    ) -> None:
        try:
            parent[field.key] = await made
        except Exception as error:
            parent[field.key] = None
            self.fail(field, path, error)

    def fail(self, field: FieldPlan, path: Path, error: Exception) -> None:
        """Collect an error of a field, and make the nearest position null that may be."""
        position = _nearest_nullable(field, path)
        self._executor.collected_errors.add(located_error(error, field.nodes, path.as_list()), position)
        if position is None:
            self._data = None
        else:
            _set_null(self._data, position.as_list())

    def paths(self, field: FieldPlan) -> dict[int, Path | None]:
        """Return where the objects with this field are, by the identity of their dictionaries."""
        ancestors: list[FieldPlan] = []
        above = field.parent
        while above is not None:
            ancestors.insert(0, above)
            above = above.parent
        found: list[tuple[Any, Path | None]] = [(self._data, None)]
        for each in ancestors:
            name = each.parent_type.name
            found = [
                item
                for made, path in found
                if isinstance(made, dict) and each.key in made
                for item in _objects(made[each.key], Path(path, each.key, name))
            ]
        return {id(made): path for made, path in found if made is not None}


class _Failed:
    """Values of one field that were not accepted.

    Errors that make a position above null are collected last: until then graphql-core continues with the field's other
    values.
    """

    def __init__(self, field: FieldPlan, execution: PlanExecution) -> None:
        self._field = field
        self._execution = execution
        self._paths: dict[int, Path | None] | None = None
        self._bubbling: list[tuple[Path, Exception]] = []

    def path_of(self, parent: dict[str, Any]) -> Path | None:
        """Return None if the response no longer has the parent."""
        if self._paths is None:
            self._paths = self._execution.paths(self._field)
        if id(parent) not in self._paths:
            return None
        return Path(self._paths[id(parent)], self._field.key, self._field.parent_type.name)

    def add(self, path: Path, error: Exception) -> None:
        if is_non_null_type(self._field.definition.type):
            self._bubbling.append((path, error))
        else:
            self._execution.fail(self._field, path, error)

    def end(self) -> None:
        for path, error in self._bubbling:
            self._execution.fail(self._field, path, error)


def _objects(made: Any, path: Path) -> list[tuple[Any, Path]]:
    if isinstance(made, list):
        return [found for index, item in enumerate(made) for found in _objects(item, path.add_key(index))]
    return [(made, path)]


def _nearest_nullable(field: FieldPlan, path: Path) -> Path | None:
    """Return the position that a field's error makes null: its own or the nearest above. None: the whole result."""
    above: FieldPlan | None = field
    at: Path | None = path
    while above is not None:
        for type_ in reversed(_types_at(above, at)):
            if not is_non_null_type(type_):
                return at
            assert at is not None
            at = at.prev
        above = above.parent
    return None


def _types_at(field: FieldPlan, at: Path | None) -> list[Any]:
    """Return the type of a field, or of the items within items that a path names."""
    types: list[Any] = [field.definition.type]
    while at is not None and isinstance(at.key, int):
        inner = types[-1].of_type if is_non_null_type(types[-1]) else types[-1]
        types.append(inner.of_type)
        at = at.prev
    return types


def _set_null(data: Any, position: Sequence[str | int]) -> None:
    for key in position[:-1]:
        if data is None:
            return
        data = data[key]
    if data is not None:
        data[position[-1]] = None


def _key(field: FieldPlan, source: Any) -> Any:
    """Return the key of a parent in a batch, or `_ALONE` if only the resolver itself knows the value."""
    try:
        key = field.batch.key(source)
        hash(key)
    except Exception:  # the resolver raises it again, where it is located
        return _ALONE
    return _ALONE if key is None and is_non_null_type(field.definition.type) else key


_ALONE: Final = object()


def _shown(show: Callable[[Any], Any], value: Any) -> Any:
    if value is None or isinstance(value, Exception):
        return value
    try:
        return show(value)
    except Exception as error:  # it is located where the value is completed
        return error


async def _listed(later: Later) -> list[Any] | Exception:
    try:
        return [item async for item in later.items]
    except Exception as error:  # it is located where the value is completed
        return error


async def _together(awaitables: Sequence[Awaitable[None]]) -> None:
    if len(awaitables) == 1:
        await awaitables[0]
    elif awaitables:
        await gather_with_cancel(*awaitables)
