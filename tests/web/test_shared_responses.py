"""Responses that are computed once for all callers, and those that never are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from graphql import parse

from auth.authorization import RULES, SHARED
from auth.callers import Caller, Role
from errors import ProviderBusyError
from providers.base import Place
from schema.cache_control import CacheControlScope, hint_of
from schema.execution.shared_answers import SharedAnswers
from schema.root import SCHEMA
from tests.fakes.cloud import site
from tests.gateway import ANN, BOB, GatewayWorld, token

HOSTNODES = "{ hostnodes { edges { node { location { city } gpus { available } } } } }"
CONSOLES = "{ consoles { name maxSessionHours } }"
OLGA = Caller("olga", Role.OPERATOR)
CONFIGURE = "mutation { configureConsole(input: {console: NES, maxSessionHours: 3}) { errors { message } } }"
# Each of them holds something of its caller, and something that is shared.
PRIVATE = {
    "beside": "{ consoles { name } viewer { id } }",
    "in a fragment": "{ consoles { name } ...F } fragment F on Query { viewer { id } }",
    "in an inline fragment": "{ consoles { name } ... on Query { viewer { id } } }",
    "under another name": "{ consoles: viewer { id } }",
    "under a directive": "query($yes: Boolean = true) { consoles { name } viewer @include(if: $yes) { id } }",
    "alone": "{ viewer { id } }",
}


def as_(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(caller)}"}


async def ask(http: aiohttp.ClientSession, query: str, caller: Caller = ANN) -> tuple[Any, dict[str, str]]:
    async with http.post("/graphql", json={"query": query}, headers=as_(caller)) as answer:
        return await answer.json(), dict(answer.headers)


async def test_concurrent_callers_share_one_execution(gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    answers = await asyncio.gather(*(ask(ann, HOSTNODES, caller) for caller in (ANN, BOB) * 20))

    assert gateway.cloud.calls["sites"] == 1
    assert len({json.dumps(answer) for answer, _ in answers}) == 1
    assert len(answers[0][0]["data"]["hostnodes"]["edges"]) == 3
    assert answers[0][1]["Cache-Control"] in {f"public, max-age={age}" for age in range(1, 6)}
    assert {"Authorization", "X-API-Key"} <= set(answers[0][1]["Vary"].split(", "))


@pytest.mark.parametrize("path", ["/graphql", "/config/consoles"])
async def test_a_get_that_names_the_etag_is_304(ann: aiohttp.ClientSession, path: str) -> None:
    params = {"query": CONSOLES} if path == "/graphql" else {}
    async with ann.get(path, params=params) as first:
        etag = first.headers["ETag"]
    async with ann.get(path, params=params, headers={"If-None-Match": f'"x", {etag}'}) as second:
        body = await second.read()
    async with ann.get(path, params=params, headers={"If-None-Match": '"x"'}) as third:
        assert third.status == 200

    assert (first.status, second.status, body) == (200, 304, b"")
    assert second.headers["ETag"] == etag
    assert second.headers["Cache-Control"].startswith("public, max-age=")


@pytest.mark.parametrize("query", PRIVATE.values(), ids=PRIVATE)
async def test_nothing_of_a_caller_is_shared(ann: aiohttp.ClientSession, query: str) -> None:
    for caller in (ANN, BOB, ANN):
        answer, headers = await ask(ann, query, caller)
        assert f'"{caller.id}"' in json.dumps(answer)
        assert headers["Cache-Control"] == "no-store"
        assert "ETag" not in headers


def test_only_fields_that_show_all_callers_the_same_are_declared_as_shared() -> None:
    assert SCHEMA.query_type is not None
    shared = {f"Query.{name}" for name, field in SCHEMA.query_type.fields.items() if hint_of(field).max_age_s != 0}

    names = ("consoles", "console", "games", "hostnodes", "locations", "regions", "rttProbes")
    assert shared == {f"Query.{name}" for name in names}
    assert {RULES[name] for name in shared} == {SHARED}


def test_a_field_with_a_resolver_and_without_a_hint_makes_an_answer_private() -> None:
    answers = SharedAnswers(SCHEMA)

    ages = {
        text: answers.max_age_s(text, parse(text)) for text in (CONSOLES, "{ __schema { description } }", HOSTNODES)
    }

    assert list(ages.values()) == [60, 0, 5]
    launch = SCHEMA.type_map["Launch"].fields["vm"]  # type: ignore[attr-defined]
    assert hint_of(launch).scope is CacheControlScope.PRIVATE


async def test_credentials_are_checked_before_a_kept_answer_is_given(ann: aiohttp.ClientSession) -> None:
    await ask(ann, CONSOLES)

    async with ann.post("/graphql", json={"query": CONSOLES}, headers={"Authorization": "Bearer a.b.c"}) as answer:
        assert answer.status == 401


async def test_a_mutation_ends_what_was_kept(ann: aiohttp.ClientSession) -> None:
    before, _ = await ask(ann, CONSOLES)

    changed, _ = await ask(ann, CONFIGURE, OLGA)
    after, _ = await ask(ann, CONSOLES)

    assert changed["data"]["configureConsole"]["errors"] == []
    assert before["data"] != after["data"]
    assert 3 in [console["maxSessionHours"] for console in after["data"]["consoles"]]


async def test_an_answer_with_an_error_is_not_kept(gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    gateway.cloud.failures["sites"] = [ProviderBusyError("500")]

    failed, headers = await ask(ann, HOSTNODES)
    answer, _ = await ask(ann, HOSTNODES)

    assert ("errors" in failed, "errors" in answer) == (True, False)
    assert headers["Cache-Control"] == "no-store"


async def test_a_large_answer_is_compressed_where_the_client_reads_that(
    gateway: GatewayWorld, ann: aiohttp.ClientSession
) -> None:
    gateway.cloud.stock = [site(f"host-{n}", Place("Dallas", "Texas", "United States"), "0.45") for n in range(100)]
    query = HOSTNODES.replace("hostnodes", "hostnodes(first: 100)").replace("city", "city region country countryCode")
    sizes = []
    for encoding in ("gzip", "identity"):
        headers = {**as_(ANN), "Accept-Encoding": encoding}
        async with ann.post("/graphql", json={"query": query}, headers=headers) as answer:
            assert len((await answer.json())["data"]["hostnodes"]["edges"]) == 100
            sizes.append((answer.headers.get("Content-Encoding"), int(answer.headers["Content-Length"])))

    assert [encoding for encoding, _ in sizes] == ["gzip", None]
    assert sizes[0][1] * 5 < sizes[1][1]
