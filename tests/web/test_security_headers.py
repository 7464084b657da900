"""What protects browsers and those who sit before them, on every answer there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from auth.authenticator import Authenticator
from schema.execution.executor import GraphQLExecution
from tests.gateway import ANN, OPERATOR, SERVICE, GatewayWorld, listening, token, web_gateway
from tests.web.conftest import ORIGIN
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness

VIEWER = {"query": "{ viewer { id } }"}
PAGE = {"Accept": "text/html"}


def bearer(caller: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(caller)}"}


@pytest.fixture
async def production(gateway: GatewayWorld) -> AsyncIterator[str]:
    """A gateway as production has it."""
    execution = GraphQLExecution(open_introspection=False, suggestions=False)
    made = web_gateway(gateway, execution=execution, cors_origins=(ORIGIN,))
    async with listening(create_app(made, Readiness(), open_explorer=False, tls_only=True)) as address:
        yield f"http://{address}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/health", {}),
        ("GET", "/ready", {}),
        ("GET", "/nothing", {}),
        ("POST", "/", {}),
        ("PUT", "/graphql", {}),
        ("GET", "/graphql", {}),
        ("GET", "/graphql?query={viewer{id}}", bearer(ANN)),
        ("GET", "/graphql", PAGE),
        ("GET", "/graphql", {**PAGE, **bearer(OPERATOR)}),
        ("GET", "/graphiql/sign-in.js", {}),
        ("GET", "/graphiql/nothing.js", {}),
        ("GET", "/exports/costs", {}),
        ("OPTIONS", "/graphql", {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}),
    ],
)
async def test_every_answer_carries_them(
    production: str, http: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str]
) -> None:
    async with http.request(method, f"{production}{path}", headers=headers) as answer:
        await answer.read()

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert len(answer.headers.getall("Content-Security-Policy")) == 1
    assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
    assert "Server" not in answer.headers


async def test_answers_to_questions_are_kept_by_nobody(production: str, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{production}/graphql", json=VIEWER, headers=bearer(ANN)) as answer:
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_error_nobody_foresaw_carries_them_too(gateway: GatewayWorld, http: aiohttp.ClientSession) -> None:
    app = create_app(web_gateway(gateway, authenticator=None), Readiness(), tls_only=True)
    async with listening(app) as address, http.post(f"http://{address}/graphql", json=VIEWER) as answer:
        assert (answer.status, answer.headers["X-Content-Type-Options"]) == (500, "nosniff")
        assert "Strict-Transport-Security" in answer.headers


async def test_development_does_not_demand_tls(served: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://{served}/health") as answer:
        assert "Strict-Transport-Security" not in answer.headers


class TestForOperators:
    """GraphiQL, introspection and suggestions, in production."""

    async def test_a_browser_is_asked_to_sign_in(self, production: str, http: aiohttp.ClientSession) -> None:
        async with http.get(f"{production}/graphql", headers=PAGE) as answer:
            page = await answer.text()

        assert (answer.status, answer.content_type) == (401, "text/html")
        assert 'id="sign-in"' in page
        assert 'id="graphiql"' not in page

    @pytest.mark.parametrize("caller", [ANN, SERVICE])
    async def test_others_get_no_graphiql(self, production: str, http: aiohttp.ClientSession, caller: Any) -> None:
        async with http.get(f"{production}/graphql", headers={**PAGE, **bearer(caller)}) as answer:
            told = await answer.json()

        assert (answer.status, told["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")

    async def test_operators_get_it(self, production: str, http: aiohttp.ClientSession) -> None:
        async with http.get(f"{production}/graphql", headers={**PAGE, **bearer(OPERATOR)}) as answer:
            assert answer.status == 200
            assert 'id="graphiql"' in await answer.text()

    @pytest.mark.parametrize("query", ["{ __schema { types { name } } }", '{ __type(name: "VM") { name } }'])
    async def test_the_schema_is_theirs_too(self, production: str, http: aiohttp.ClientSession, query: str) -> None:
        codes = []
        for caller in (ANN, SERVICE, OPERATOR):
            async with http.post(f"{production}/graphql", json={"query": query}, headers=bearer(caller)) as answer:
                told = await answer.json()
                codes.append(told["errors"][0]["extensions"]["code"] if "errors" in told else "shown")

        assert codes == ["FORBIDDEN", "FORBIDDEN", "shown"]

    @pytest.mark.parametrize(
        "query",
        [
            "{ vewer { id } }",
            "{ viewer { idd } }",
            "{ vms(frist: 1) { edges { cursor } } }",
            "{ console(type: NSE) { id } }",
        ],
    )
    async def test_and_so_are_suggestions(self, production: str, http: aiohttp.ClientSession, query: str) -> None:
        hints = []
        for caller in (ANN, OPERATOR):
            async with http.post(f"{production}/graphql", json={"query": query}, headers=bearer(caller)) as answer:
                hints.append("Did you mean" in await answer.text())

        assert hints == [False, True]


class TestOtherSites:
    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_a_page_that_is_not_listed_may_not_ask(
        self, served: str, http: aiohttp.ClientSession, site: str
    ) -> None:
        """As an image or a script of that page would: no header asks first, so there is no preflight."""
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", **bearer(ANN)}
        async with http.get(f"http://{served}/graphql?query={{viewer{{id}}}}", headers=headers) as answer:
            assert answer.status == 403

    @pytest.mark.parametrize("sent", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
    async def test_programs_and_our_own_page_may(
        self, served: str, http: aiohttp.ClientSession, sent: dict[str, str]
    ) -> None:
        async with http.post(f"http://{served}/graphql", json=VIEWER, headers={**sent, **bearer(ANN)}) as answer:
            assert answer.status == 200

    async def test_so_may_a_listed_one(self, served: str, http: aiohttp.ClientSession) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN, **bearer(ANN)}
        async with http.post(f"http://{served}/graphql", json=VIEWER, headers=headers) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)

    @pytest.mark.parametrize(
        ("host", "status"),
        [("localhost", 200), ("localhost:8000", 200), ("127.0.0.1:1", 200), ("[::1]:8000", 200),
         ("evil.example", 401), ("evil.example:8000", 401), ("localhost.evil.example", 401), ("127.0.0.1.nip.io", 401)],
    )  # fmt: skip
    async def test_nobody_is_the_developer_by_another_name_of_this_machine(
        self, gateway: GatewayWorld, http: aiohttp.ClientSession, host: str, status: int
    ) -> None:
        """A page may let its own name point to 127.0.0.1, and the browser then takes us for a part of it."""
        door = Authenticator(None, None, developer=True)
        async with (
            listening(create_app(web_gateway(gateway, authenticator=door), Readiness())) as address,
            http.post(f"http://{address}/graphql", json=VIEWER, headers={"Host": host}) as answer,
        ):
            assert answer.status == status


class TestBatches:
    async def test_an_array_is_refused_by_the_name_of_the_limit(self, ann: aiohttp.ClientSession) -> None:
        async with ann.post("/graphql", json=[VIEWER, VIEWER]) as answer:
            told = await answer.json()

        assert answer.status == 400
        assert told["errors"][0]["extensions"] == {"code": "LIMIT_REACHED", "limit": "batchSize", "allowed": 1}

    async def test_where_it_is_allowed_each_request_gets_its_answer(
        self, gateway: GatewayWorld, http: aiohttp.ClientSession
    ) -> None:
        app = create_app(web_gateway(gateway, limits=WebLimits(max_batch_size=3)), Readiness())
        batch = [VIEWER, {"query": "{"}, {"query": 'subscription { vmStatus(vmId: "x") { id } }'}]
        async with listening(app) as address:
            url = f"http://{address}/graphql"
            async with http.post(url, json=batch, headers=bearer(ANN)) as answer:
                told = await answer.json()
            async with http.post(url, json=[VIEWER] * 4, headers=bearer(ANN)) as refused:
                refusal = await refused.json()

        assert told[0]["data"] == {"viewer": {"id": "ann"}}
        assert [one["errors"][0]["extensions"]["code"] for one in told[1:]] == ["GRAPHQL_PARSE_FAILED", "BAD_REQUEST"]
        assert refusal["errors"][0]["extensions"] == {"code": "LIMIT_REACHED", "limit": "batchSize", "allowed": 3}


async def test_a_body_over_the_limit_names_it(ann: aiohttp.ClientSession) -> None:
    async with ann.post("/graphql", json={"query": " " * 30_000}) as answer:
        told = await answer.json()

    assert told["errors"][0]["extensions"] == {"code": "LIMIT_REACHED", "limit": "bodyBytes", "allowed": 20_000}
