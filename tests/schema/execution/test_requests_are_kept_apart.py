"""What one caller sends decides nothing about the answers, and little about the memory, of the others."""

from __future__ import annotations

import tracemalloc
from typing import Any

import aiohttp
import pytest
from graphql import parse

from resolvers.context import Context
from schema.execution.executor import GraphQLExecution
from schema.execution.plan import OperationPlan, PlanCache
from schema.execution.requests import GraphQLRequest, RequestFailedError
from schema.execution.trusted_documents import sha256_of, text_of
from schema.root import SCHEMA
from tests.gateway import ANN, GatewayWorld
from tests.web.conftest import ann, served

__all__ = ["ann", "served"]


def context_of(gateway: GatewayWorld) -> Context:
    return Context(ANN, gateway.services, "request-1")


@pytest.mark.parametrize("named", ["Consoles", "Regions", "Viewer"])
def test_a_query_with_the_hash_of_another_document_is_refused(gateway: GatewayWorld, named: str) -> None:
    """If either were run, its answer could be kept as the answer to the other."""
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(text_of(named))}}
    request = GraphQLRequest(query=text_of("Launches"), extensions=extensions)

    with pytest.raises(RequestFailedError) as refused:
        GraphQLExecution().prepare(request, context_of(gateway))

    assert refused.value.faults[0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_prepared_request_knows_the_text_that_is_run(gateway: GatewayWorld) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(text_of("Consoles"))}}

    prepared = GraphQLExecution().prepare(GraphQLRequest(extensions=extensions), context_of(gateway))

    assert (prepared.text, prepared.name) == (text_of("Consoles"), "Consoles")


def test_names_that_no_operation_has_are_not_kept(gateway: GatewayWorld) -> None:
    execution = GraphQLExecution()
    document = "{ a: __typename }"
    execution.prepare(GraphQLRequest(document), context_of(gateway))
    tracemalloc.start()
    try:
        for number in range(50):
            request = GraphQLRequest(document, operation_name=f"{number}{'x' * 100_000}")
            with pytest.raises(RequestFailedError):
                execution.prepare(request, context_of(gateway))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1_000_000


async def test_variables_of_another_operation_may_have_the_same_name_and_any_type(ann: aiohttp.ClientSession) -> None:
    document = """
      query A($x: Boolean!) { consoles @include(if: $x) { type } }
      query B($x: [LaunchStatus!]) { launches(status: $x) { edges { node { id } } } }
    """
    body = {"query": document, "operationName": "B", "variables": {"x": ["READY"]}}

    async with ann.post("/graphql", json=body) as answer:
        told = await answer.json()

    assert (answer.status, told["data"], told.get("errors")) == (200, {"launches": {"edges": []}}, None)


async def test_variables_that_are_nested_deeply_are_no_unexpected_error(ann: aiohttp.ClientSession) -> None:
    nested: Any = []
    for _ in range(300):
        nested = [nested]

    async with ann.post("/graphql", json={"query": "{ __typename }", "variables": {"a": nested}}) as answer:
        assert (answer.status, (await answer.json())["data"]) == (200, {"__typename": "Query"})


class TestPlanCache:
    def test_the_least_recently_used_plans_are_forgotten(self) -> None:
        cache: PlanCache[str] = PlanCache(most_fields=30)
        for key in ("a", "b", "c"):
            cache.add(key, key, 10)
        cache.get("a")

        cache.add("d", "d", 10)

        assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
        assert cache.fields == 30

    async def test_an_operation_too_large_for_a_plan_is_tried_once(self, gateway: GatewayWorld) -> None:
        fields = " ".join(f"f{number}: id" for number in range(600))
        document = parse(f"{{ viewer {{ {fields} }} }}")
        cache: PlanCache[Any] = PlanCache()
        (operation,) = document.definitions
        plan = OperationPlan(SCHEMA, document, operation, cache=cache)  # type: ignore[arg-type]  # it is an operation

        reasons = []
        for _ in range(2):
            with pytest.raises(Exception, match="size") as failed:
                await plan.execute(context_of(gateway), {})
            reasons.append(failed.value)

        assert cache.fields == 1
        assert reasons[0] is not reasons[1]
