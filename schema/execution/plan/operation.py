"""One operation of a document: compiled when it is first executed, once for each combination of its directives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)
from graphql.execution.collect_fields import GroupedFieldSet, collect_fields
from strawberry.execution import optimized_is_awaitable

from schema.execution.plan.cache import PlanCache
from schema.execution.plan.execution import PlanExecution
from schema.execution.plan.fields import Compiled, FieldPlan, How, how_resolved, strawberry_field
from schema.execution.plan.source import Source

_MOST_FIELDS: Final = 500  # of one compiled operation: compiling takes 0.1 ms a field, and nothing else runs then
_MOST_VARIANTS: Final = 8  # of one operation, by the values of its @skip and @include
_SLOTS_OF_A_FIELD: Final = 2

Selected = Mapping[GraphQLObjectType, frozenset[str]]  # Python names of fields, by their type


class NotPlannedError(Exception):
    """graphql-core must execute this operation. `reason` is one word for metrics. Nothing was executed yet."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OperationPlan:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        summarize: Callable[[Selected], Any] = lambda selected: None,
        cache: PlanCache[Compiled | NotPlannedError] | None = None,
    ) -> None:
        """Set up the operation: `operation` is a query or mutation of `document`, which is valid.

        `summarize` is called once for each compiled variant with the fields that it selects; `execute` hands its result
        over before resolvers are called. `cache` keeps the variants of many operations.
        """
        self._schema = schema
        self._document = document
        self._operation = operation
        self._summarize = summarize
        self._name = operation.name.value if operation.name else None
        self._switches = sorted(set(_switches(document)))
        self._cache = PlanCache() if cache is None else cache
        self._seen: set[tuple[bool | None, ...]] = set()

    async def execute(
        self,
        context: Any,
        variables: Mapping[str, Any],
        *,
        hide_suggestions: bool = False,
        begin: Callable[[Any], None] = lambda summary: None,
        completed_exactly: Callable[[], None] = lambda: None,
    ) -> ExecutionResult:
        """Execute the operation. Raises NotPlannedError before anything was executed.

        `completed_exactly` is called for each value that the compiled code did not accept and graphql-core completed.
        """
        executor = Executor.build(
            self._schema,
            self._document,
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=self._name,
            is_awaitable=cast(Any, optimized_is_awaitable),
            hide_suggestions=hide_suggestions,
        )
        if isinstance(executor, list):
            return ExecutionResult(None, executor)
        compiled = self._variant(executor)
        begin(compiled.summary)
        execution = PlanExecution(executor, compiled, completed_exactly)
        return await execution.run(serially=self._operation.operation is OperationType.MUTATION)

    def _variant(self, executor: Executor[Any]) -> Compiled:
        values = executor.variable_values.coerced
        # A variable of another operation may have the same name and any type; only booleans are conditions.
        switches = (values.get(name) for name in self._switches)
        variant = tuple(value if isinstance(value, bool) else None for value in switches)
        found = self._cache.get((self, variant))
        if found is None:
            if variant not in self._seen and len(self._seen) >= _MOST_VARIANTS:
                raise NotPlannedError("variants")
            self._seen.add(variant)
            found = self._compile(executor)
            fields = found.slots // _SLOTS_OF_A_FIELD if isinstance(found, Compiled) else 1
            self._cache.add((self, variant), found, fields)
        if isinstance(found, NotPlannedError):
            raise NotPlannedError(found.reason)
        return found

    def _compile(self, executor: Executor[Any]) -> Compiled | NotPlannedError:
        try:
            return _Compiler(executor).compiled(self._summarize)
        except NotPlannedError as error:
            return error.with_traceback(None)


class _Compiler:
    """Makes the fields of one operation, with the values that its directives have in one execution."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._schema = executor.schema
        self._fields = 0
        self._calls: list[FieldPlan] = []
        self._names: dict[GraphQLObjectType, set[str]] = {}

    def compiled(self, summarize: Callable[[Selected], Any]) -> Compiled:
        operation = self._executor.operation
        root_type = self._schema.get_root_type(operation.operation)
        assert root_type is not None
        try:
            found = collect_fields(
                self._schema, self._executor.fragments, self._executor.variable_values, root_type, operation
            )
            roots = self._fields_of(None, root_type, found.grouped_field_set)
            source = Source(self._schema, self._selected)
            for root in roots:
                source.add(root)
        except GraphQLError:
            raise NotPlannedError("directives") from None  # graphql-core says what is wrong with them
        except RecursionError:
            raise NotPlannedError("size") from None
        source.compile()
        selected = {type_: frozenset(names) for type_, names in self._names.items()}
        return Compiled(roots, self._calls, self._fields * _SLOTS_OF_A_FIELD, summarize(selected))

    def _selected(self, parent: FieldPlan, type_: GraphQLObjectType) -> list[FieldPlan]:
        found = self._executor.collect_subfields(type_, parent.details)
        return self._fields_of(parent, type_, found.grouped_field_set)

    def _fields_of(
        self, parent: FieldPlan | None, type_: GraphQLObjectType, grouped: GroupedFieldSet
    ) -> list[FieldPlan]:
        return [self._field(parent, type_, key, details) for key, details in grouped.items()]

    def _field(self, parent: FieldPlan | None, type_: GraphQLObjectType, key: str, details: Any) -> FieldPlan:
        name = details[0].node.name.value
        definition = self._schema.get_field(type_, name)
        assert definition is not None, "the document is valid"
        if name in ("__schema", "__type"):
            raise NotPlannedError("introspection")
        how = how_resolved(name, definition)
        if parent is not None and how is not How.TYPENAME and strawberry_field(definition).extensions:
            raise NotPlannedError("extensions")
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise NotPlannedError("size")
        slot = (self._fields - 1) * _SLOTS_OF_A_FIELD
        field = FieldPlan(key, slot, parent, type_, definition, details, how)
        if parent is not None and how is How.CALL and field.has_arguments:
            self._calls.append(field)
        if parent is not None and how is not How.TYPENAME:
            self._names.setdefault(type_, set()).add(strawberry_field(definition).python_name)
        if field.is_awaited or field.may_stream:
            _wait_at(parent, field)
        return field


def _wait_at(above: FieldPlan | None, field: FieldPlan) -> None:
    """Register a field at each field above that is built before this one is awaited."""
    while above is not None:
        above.waiting.append(field)
        above = None if above.is_awaited else above.parent


def _switches(document: DocumentNode) -> Iterator[str]:
    """Yield the variables that decide which fields are selected."""
    waiting: list[Any] = list(document.definitions)
    while waiting:
        node = waiting.pop()
        for directive in getattr(node, "directives", None) or ():
            for argument in directive.arguments or ():
                if isinstance(argument.value, VariableNode):
                    yield argument.value.name.value
        selection_set = getattr(node, "selection_set", None)
        waiting.extend(selection_set.selections if selection_set else ())
