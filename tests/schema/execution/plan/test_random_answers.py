"""Compiled plans answer random documents over random values as graphql-core does, errors included."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from random import Random
from typing import Any, Final, cast

import pytest
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    execute,
    parse,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.callers import Caller, Role
from schema.execution.plan import OperationPlan
from schema.root import SCHEMA
from tests.schema.execution.plan.random_documents import RandomDocument
from tests.schema.execution.plan.random_values import RandomContext, RandomValues, schema_over_values

_DOCUMENTS: Final = 12  # of one set of values
QUERY: Final = cast(GraphQLObjectType, SCHEMA.query_type)
OVER_VALUES: Final = schema_over_values()
_CALLERS: Final = [Caller("ann", Role.PLAYER), Caller("olga", Role.OPERATOR)]


@pytest.fixture(autouse=True)
def dropped_coroutines() -> Iterator[None]:
    """Collect here what is never awaited: where one of two awaited fields fails, the other may not be begun."""
    yield
    gc.collect()


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.0, 0.01, 0.1]))
@settings(max_examples=170)
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning")
async def test_a_plan_answers_as_graphql_core_does(seed: int, faults: float) -> None:
    random = Random(seed)
    values = RandomValues(random, faults)
    roots = {name: values.of(field.type) for name, field in QUERY.fields.items()}
    for _ in range(_DOCUMENTS):
        asked = RandomDocument(OVER_VALUES, random)
        document = parse(asked.text)
        if validate(OVER_VALUES, document):
            continue  # fields of two kinds under one name
        context = partial(RandomContext, seed, faults, roots, random.choice(_CALLERS))
        case = Case(document, asked.variables, context)

        expected, answered = await case.by_graphql_core(), await case.by_a_plan()

        assert answered.data == expected.data, asked.text
        assert repr(answered.data) == repr(expected.data), asked.text  # in the order of the document
        if expected.errors or answered.errors:
            assert same_errors(answered, expected, await case.every_error()), asked.text


class Unpropagated(Executor[Any]):
    """Collects every error that an execution may come across, because none hides another."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error_propagation = False


@dataclass(frozen=True)
class Case:
    document: DocumentNode
    variables: dict[str, Any]
    context: Callable[[], RandomContext]

    async def by_a_plan(self) -> ExecutionResult:
        operation = next(each for each in self.document.definitions if isinstance(each, OperationDefinitionNode))
        plan = OperationPlan(OVER_VALUES, self.document, operation)
        return await plan.execute(self.context(), self.variables)

    async def by_graphql_core(self, executor: type[Executor[Any]] | None = None) -> ExecutionResult:
        result = execute(
            OVER_VALUES,
            self.document,
            context_value=self.context(),
            variable_values=self.variables,
            executor_class=executor,
        )
        return await result if isawaitable(result) else result

    async def every_error(self) -> set[Any]:
        return {told(error) for error in (await self.by_graphql_core(Unpropagated)).errors or ()}


def same_errors(answered: ExecutionResult, expected: ExecutionResult, possible: set[Any]) -> bool:
    """Fields that are awaited together race: of errors that make the same position above them null, graphql-core tells
    those that it met before. Any of them may be told there. At all other positions, the errors must be the same."""
    found, wanted = by_position(answered), by_position(expected)
    return found.keys() == wanted.keys() and all(
        set(found[at]) <= possible if is_above(at, wanted[at]) else found[at] == wanted[at] for at in found
    )


def is_above(position: Any, errors: list[Any]) -> bool:
    return any(path != position for _, path, *_ in errors)


def by_position(result: ExecutionResult) -> dict[Any, list[Any]]:
    """Errors by the position that is null because of them."""
    found: dict[Any, list[Any]] = {}
    for error in result.errors or ():
        found.setdefault(nulled(result.data, error.path or []), []).append(told(error))
    return found


def told(error: GraphQLError) -> Any:
    places = tuple((place.line, place.column) for place in error.locations or ())
    return error.message, tuple(error.path or ()), places, type(error.original_error).__name__


def nulled(data: Any, path: list[str | int]) -> tuple[str | int, ...]:
    for depth, key in enumerate(path):
        if data is None:
            return tuple(path[:depth])
        data = data[key]
    return tuple(path)
