"""The service over HTTP: addresses for people and machines, and GraphQL by the letter of its HTTP specification."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import aiohttp
import pytest

from models.launches import Launch
from schema.execution.trusted_documents import sha256_of
from tests.gateway import ANN, GatewayWorld, listening, text_of, token, web_gateway
from tests.web.conftest import ORIGIN
from web.app import create_app
from web.health import Readiness
from web.logging_setup import fields_of

MODERN = "application/graphql-response+json"
LEGACY = "application/json"
VIEWER = "{ viewer { id role } }"
LAUNCH = "mutation { createVm(input: {console: NES}) { launch { id } } }"


async def test_the_root_greets_with_the_version(ann: aiohttp.ClientSession) -> None:
    async with ann.get("/") as answer:
        assert await answer.json() == {"message": "Gamer Provisioner API", "version": "1.2.3"}


async def test_health_is_told_while_the_process_lives(ann: aiohttp.ClientSession) -> None:
    async with ann.get("/health") as answer:
        assert await answer.json() == {"status": "healthy", "service": "provisioner-api"}


async def test_ready_tells_each_part_apart_and_a_cloud_that_is_away_does_not_decide(ann: aiohttp.ClientSession) -> None:
    async with ann.get("/ready") as answer:
        assert answer.status == 200
        assert await answer.json() == {
            "status": "ready",
            "checks": {
                "database": {"ok": True},
                "engine": {"ok": True},
                "cloudypad": {"ok": False, "detail": "nobody answers there"},
            },
        }


async def test_not_ready_without_temporal(gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    gateway.engine.away = True

    async with ann.get("/ready") as answer:
        told = await answer.json()

    assert (answer.status, told["status"]) == (503, "not ready")
    assert told["checks"]["engine"] == {"ok": False, "detail": "Temporal does not respond"}


async def test_an_unknown_address_is_json(ann: aiohttp.ClientSession) -> None:
    async with ann.get("/nothing") as answer:
        assert answer.status == 404
        assert await answer.json() == {
            "message": "Not Found",
            "errors": [{"code": "NOT_FOUND", "message": "Not Found"}],
        }


class TestRequestIds:
    async def test_a_well_formed_one_is_kept(self, ann: aiohttp.ClientSession) -> None:
        async with ann.get("/health", headers={"X-Request-ID": "web-app.42_a"}) as answer:
            assert answer.headers["X-Request-ID"] == "web-app.42_a"

    @pytest.mark.parametrize(
        "sent", ["short", "a" * 200, "with space in it", "<script>alert(1)</script>", "ümläutümläut"]
    )
    async def test_any_other_is_replaced(self, ann: aiohttp.ClientSession, sent: str) -> None:
        async with ann.get("/health", headers={"X-Request-ID": sent}) as answer:
            assert answer.headers["X-Request-ID"] != sent
            assert len(answer.headers["X-Request-ID"]) == 32

    async def test_each_request_has_its_own(self, ann: aiohttp.ClientSession) -> None:
        seen = set()
        for _ in range(3):
            async with ann.get("/nothing") as answer:
                seen.add(answer.headers["X-Request-ID"])

        assert len(seen) == 3


class TestCors:
    async def test_a_listed_origin_may_ask_with_credentials_of_its_own(self, ann: aiohttp.ClientSession) -> None:
        headers = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        async with ann.options("/graphql", headers=headers) as preflight:
            assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        async with ann.get("/health", headers={"Origin": ORIGIN}) as answer:
            assert answer.headers["Access-Control-Expose-Headers"] == "X-Request-ID, Retry-After, ETag"

    async def test_another_origin_may_not(self, ann: aiohttp.ClientSession) -> None:
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        async with ann.options("/graphql", headers=headers) as preflight:
            assert preflight.status == 400
            assert "Access-Control-Allow-Origin" not in preflight.headers


class TestMediaTypes:
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            (None, LEGACY),
            ("*/*", LEGACY),
            ("application/*", LEGACY),
            (LEGACY, LEGACY),
            (MODERN, MODERN),
            (f"{MODERN}, {LEGACY};q=0.9", MODERN),
            (f"{LEGACY}, {MODERN}", MODERN),
            (f"{MODERN};q=0.1, */*;q=0.9", LEGACY),
            (f"text/event-stream, {MODERN}; charset=utf-8", MODERN),
            (f"{MODERN};q=nonsense, {LEGACY}", LEGACY),
            ("APPLICATION/JSON", LEGACY),
        ],
    )
    async def test_the_one_that_the_client_prefers(
        self, ann: aiohttp.ClientSession, accept: str | None, kind: str
    ) -> None:
        async with ann.post("/graphql", json={"query": VIEWER}, headers=accepting(accept)) as answer:
            assert (answer.status, answer.content_type, answer.charset) == (200, kind, "utf-8")
            assert (await answer.json(content_type=kind))["data"] == {"viewer": {"id": "ann", "role": "PLAYER"}}

    @pytest.mark.parametrize("accept", ["text/plain", f"{LEGACY};q=0", "image/*, text/html;q=0.1"])
    async def test_none_that_we_have_is_406(self, ann: aiohttp.ClientSession, accept: str) -> None:
        async with ann.post("/graphql", json={"query": VIEWER}, headers=accepting(accept)) as answer:
            assert (answer.status, answer.content_type) == (406, LEGACY)

    @pytest.mark.parametrize(
        "query", ["{ nothing }", "{ viewer {", "query A($c: ConsoleType!) { console(type: $c) { id } }"]
    )
    async def test_errors_before_execution_are_400_without_data_or_200_for_old_clients(
        self, ann: aiohttp.ClientSession, query: str
    ) -> None:
        for kind, status in ((MODERN, 400), (LEGACY, 200)):
            async with ann.post("/graphql", json={"query": query}, headers=accepting(kind)) as answer:
                told = await answer.json(content_type=kind)

            assert answer.status == status
            assert list(told) == ["errors"]

    async def test_errors_of_fields_are_200_with_data(self, ann: aiohttp.ClientSession) -> None:
        query = '{ launches(after: "x") { pageInfo { endCursor } } }'
        async with ann.post("/graphql", json={"query": query}, headers=accepting(MODERN)) as answer:
            told = await answer.json(content_type=MODERN)

        assert (answer.status, told["data"]) == (200, None)


class TestUnreadableRequests:
    @pytest.mark.parametrize(
        "body",
        [
            b"", b"1", b"null", b'"x"', b"true", b"[]", b"{", b"{}", b'{"query": 1}', b'{"query": null}',
            b'{"query": "{a}", "variables": []}', b'{"query": "{a}", "variables": "x"}', b'{"query": NaN}',
            b'{"query": "{a}", "operationName": {}}', b'{"query": "{a}", "extensions": 1}', b"\xff\xfe",
            b'{"query": "\xff"}', b'{"query": "{a}", "variables": {"a": "\\ud800"}}', b"[" * 19_000,
            b'[{"query": "{ viewer { id } }"}]', b'{"query": "{a}", "variables": {"a": Infinity}}',
        ],
    )  # fmt: skip
    async def test_what_is_no_request_is_400(self, ann: aiohttp.ClientSession, body: bytes) -> None:
        async with ann.post("/graphql", data=body, headers={"Content-Type": LEGACY}) as answer:
            assert answer.status == 400
            assert (await answer.json())["errors"][0]["message"]

    async def test_a_number_of_5000_digits_does_no_harm(self, ann: aiohttp.ClientSession) -> None:
        body = (
            b'{"query": "query($f: Int) { launches(first: $f) { edges { cursor } } }", "variables": {"f": '
            + b"9" * 5000
        )
        async with ann.post("/graphql", data=body + b"}}", headers={"Content-Type": LEGACY}) as answer:
            assert answer.status < 500
            assert list(await answer.json()) == ["errors"]

    @pytest.mark.parametrize(
        "kind",
        [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
         "application/jsonx", "application/json; charset=latin-1", "application/json, text/plain"],
    )  # fmt: skip
    async def test_what_a_form_of_another_site_could_send_is_415_and_does_nothing(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, kind: str | None
    ) -> None:
        headers = {"Content-Type": kind} if kind else {}
        body = json.dumps({"query": LAUNCH}).encode()
        async with ann.post("/graphql", data=body, headers=headers, skip_auto_headers=["Content-Type"]) as answer:
            assert answer.status == 415

        assert gateway.engine.started == []

    async def test_a_compressed_request_is_415(self, ann: aiohttp.ClientSession) -> None:
        headers = {"Content-Type": LEGACY, "Content-Encoding": "gzip"}
        body = gzip.compress(json.dumps({"query": VIEWER}).encode())
        async with ann.post("/graphql", data=body, headers=headers) as answer:
            assert answer.status == 415

    async def test_a_request_that_is_too_large_is_413(self, ann: aiohttp.ClientSession) -> None:
        async with ann.post("/graphql", json={"query": VIEWER + " " * 30_000}) as announced:
            assert announced.status == 413
        async with ann.post("/graphql", data=in_pieces(40_000), headers={"Content-Type": LEGACY}) as streamed:
            assert streamed.status == 413

    async def test_a_request_that_does_not_arrive_is_408(self, served: str) -> None:
        reader, writer = await asyncio.open_connection(*served.split(":"))
        writer.write(
            b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        try:
            assert (await reader.readline()).split()[1] == b"408"
        finally:
            writer.close()
            await writer.wait_closed()

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_another_method_is_405_and_says_which_are_allowed(
        self, ann: aiohttp.ClientSession, method: str
    ) -> None:
        async with ann.request(method, "/graphql") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")


class TestGet:
    async def test_a_query_is_answered(self, ann: aiohttp.ClientSession) -> None:
        asked = {"query": "query A($c: ConsoleType!) { console(type: $c) { name } }", "variables": '{"c": "NES"}'}
        async with ann.get("/graphql", params=asked) as answer:
            assert (await answer.json())["data"] == {"console": {"name": "Nintendo Entertainment System"}}

    async def test_a_mutation_is_405_and_does_nothing(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        async with ann.get("/graphql", params={"query": LAUNCH}) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")

        assert gateway.engine.started == []
        assert await gateway.db.find(Launch, {}) == []

    async def test_a_mutation_hidden_behind_a_query_is_405_too(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession
    ) -> None:
        query = f"query A {VIEWER} {LAUNCH.replace('mutation', 'mutation B')}"
        async with ann.get("/graphql", params={"query": query, "operationName": "B"}) as answer:
            assert answer.status == 405

        assert gateway.engine.started == []

    @pytest.mark.parametrize("asked", ["", "?query=", "?query={a}&query={b}", "?query={a}&variables=1", "?variables={"])
    async def test_what_is_no_request_is_400(self, ann: aiohttp.ClientSession, asked: str) -> None:
        async with ann.get(f"/graphql{asked}") as answer:
            assert answer.status == 400

    async def test_a_subscription_is_refused_with_the_way_to_ask_it(self, ann: aiohttp.ClientSession) -> None:
        query = 'subscription { launchProgress(launchId: "x") { sequence } }'
        async with ann.post("/graphql", json={"query": query}) as answer:
            assert answer.status == 400
            assert "graphql-transport-ws" in (await answer.json())["errors"][0]["message"]

    async def test_a_browser_gets_graphiql(self, ann: aiohttp.ClientSession) -> None:
        async with ann.get("/graphql", headers=accepting("text/html,application/xhtml+xml,*/*;q=0.8")) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")


class TestCredentials:
    @pytest.mark.parametrize(
        "sent", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}, {"X-API-Key": "k"}]
    )
    async def test_without_good_ones_it_is_401(self, served: str, sent: dict[str, str]) -> None:
        async with (
            aiohttp.ClientSession(f"http://{served}", headers=sent) as nobody,
            nobody.post("/graphql", json={"query": VIEWER}) as answer,
        ):
            told = await answer.json()

        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert told["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}

    async def test_an_expired_token_is_401(self, served: str) -> None:
        headers = {"Authorization": f"Bearer {token(ANN, lasting_s=-60)}"}
        async with (
            aiohttp.ClientSession(f"http://{served}", headers=headers) as late,
            late.post("/graphql", json={"query": VIEWER}) as answer,
        ):
            assert answer.status == 401


async def test_a_trusted_document_is_called_by_its_hash(ann: aiohttp.ClientSession) -> None:
    named = {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(text_of("Viewer"))}}

    async with ann.post("/graphql", json={"extensions": named}) as posted:
        by_post = await posted.json()
    async with ann.get("/graphql", params={"extensions": json.dumps(named)}) as got:
        by_get = await got.json()

    assert by_post["data"] == by_get["data"]
    assert by_post["data"]["viewer"] == {"id": "ann", "role": "PLAYER"}


async def test_an_empty_operation_name_is_none(ann: aiohttp.ClientSession) -> None:
    async with ann.post("/graphql", json={"query": VIEWER, "operationName": ""}) as answer:
        assert "errors" not in await answer.json()


async def test_an_unknown_hash_is_400(ann: aiohttp.ClientSession) -> None:
    named = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    async with ann.post("/graphql", json={"extensions": named}) as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_query_that_was_sent_with_its_hash_is_called_by_the_hash_alone_from_then_on(
    ann: aiohttp.ClientSession,
) -> None:
    """As Apollo Client and urql do with automatic persisted queries: hash, then both, then the hash alone."""
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(VIEWER)}}
    answers = []
    for body in ({}, {"query": VIEWER}, {}):
        async with ann.post("/graphql", json={**body, "extensions": extensions}) as answer:
            answers.append((answer.status, await answer.json()))

    assert [status for status, _ in answers] == [400, 200, 200]
    assert answers[0][1]["errors"][0]["message"] == "PersistedQueryNotFound"
    assert answers[1][1]["data"] == answers[2][1]["data"]


async def test_a_hash_that_is_not_that_of_the_query_teaches_nothing(ann: aiohttp.ClientSession) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    async with ann.post("/graphql", json={"query": VIEWER, "extensions": extensions}) as wrong:
        assert (await wrong.json())["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"

    async with ann.post("/graphql", json={"extensions": extensions}) as answer:
        assert (await answer.json())["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


class TestLogLines:
    async def test_each_request_leaves_one_without_its_query_string_or_credentials(
        self, ann: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "web"):
            async with ann.get("/graphql", params={"query": VIEWER, "token": "hunter2"}) as answer:
                await answer.read()

        (line,) = [record for record in caplog.records if record.name == "web"]
        fields = fields_of(line)
        assert (fields["method"], fields["path"], fields["status"]) == ("GET", "/graphql", 200)
        assert "hunter2" not in str(line.__dict__)
        assert "Bearer" not in str(line.__dict__)

    async def test_an_error_nobody_foresaw_is_500_with_the_id_of_the_request(
        self, gateway: GatewayWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = create_app(web_gateway(gateway, authenticator=None), Readiness())
        async with listening(app) as address, aiohttp.ClientSession(f"http://{address}") as session:
            headers = {"X-Request-ID": "request-7"}
            async with session.post("/graphql", json={"query": VIEWER}, headers=headers) as answer:
                told = await answer.json()

        fault = {
            "message": "Something went wrong on our side. Its id is request-7.",
            "extensions": {"code": "INTERNAL", "id": "request-7"},
        }
        assert (answer.status, told) == (500, {"errors": [fault]})
        assert "unexpected error" in [record.getMessage() for record in caplog.records]


def accepting(kind: str | None) -> dict[str, Any]:
    return {} if kind is None else {"Accept": kind}


async def in_pieces(size: int) -> Any:
    for _ in range(size // 1000):
        yield b" " * 1000
