"""Requests that are refused before they reach any handler are logged, counted and given an id like all others."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest

from tests.gateway import GatewayWorld, listening, web_gateway
from tests.web.conftest import ORIGIN
from tests.web.test_attacks_http import HEAD, UPGRADE
from tests.web.test_websocket_protocol import said_to
from web.access_log import AccessLog
from web.app import create_app
from web.health import Readiness
from web.http_protocol import hardened_http_protocol
from web.logging_setup import fields_of
from web.metrics import Metrics
from web.metrics_endpoint import CachedRecordMetrics, MetricsPage, allow_all
from web.websocket_protocol import hardened_websocket_protocol

# name: (what is sent on a connection, the status of the answer, the method and the path of the log line)
REFUSED: Final[dict[str, tuple[bytes, int, str, str]]] = {
    "a length and pieces": (
        f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        *(400, "POST", "/graphql"),
    ),
    "two lengths": (f"{HEAD}Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello".encode(), 400, "-", "-"),
    "a head of 17 kB": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 17_000 + b"\r\n\r\n", 431, "GET", "/"),
    "a head of 17 kB that goes on": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 17_000, 431, "-", "-"),
    "a hundred headers and one": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "GET", "/"),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "-", "-"),
    "a preflight with two lengths": (
        f"OPTIONS /graphql HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: POST\r\n"
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        *(400, "OPTIONS", "/graphql"),
    ),
    "a socket by POST": (UPGRADE.replace(b"GET", b"POST") + b"\r\n", 405, "POST", "/graphql"),
    "a socket with a body": (UPGRADE + b"Content-Length: 5\r\n\r\nhello", 400, "GET", "/graphql"),
    "a socket from another site": (UPGRADE + b"Origin: https://evil.example\r\n\r\n", 403, "SOCKET", "/graphql"),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
async def address(gateway: GatewayWorld, metrics: Metrics) -> AsyncIterator[str]:
    access_log = AccessLog(metrics.http_answered)
    page = MetricsPage(metrics, CachedRecordMetrics(no_census), allow_all)
    app = create_app(web_gateway(gateway, cors_origins=(ORIGIN,)), Readiness(), metrics=page)
    async with listening(
        app,
        hardened_http_protocol(5, access_log=access_log),
        hardened_websocket_protocol(20, 600, access_log=access_log),
    ) as address:
        yield address


async def no_census() -> Any:
    raise AssertionError("no test reads it")


@pytest.mark.parametrize("name", REFUSED)
async def test_each_refusal_has_an_id_one_log_line_and_one_count(
    address: str, metrics: Metrics, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    sent, status, method, path = REFUSED[name]

    with caplog.at_level(logging.INFO, "web"):
        said = await said_to(address, sent)

    (line,) = [fields_of(record) for record in caplog.records if record.getMessage() == "request completed"]
    assert (line["method"], line["path"], line["status"]) == (method, path, status)
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert len(request_id_in(said)) == 32
    counted = metrics.registry.get_sample_value("gamer_http_answers_total", {"status": str(status)})
    assert counted == 1


async def test_a_body_that_is_refused_while_it_is_read_has_one_id_and_one_line(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    chunked = f"{HEAD}Transfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n".encode()

    with caplog.at_level(logging.INFO, "web"):
        said = await said_to(address, chunked)

    lines = [fields_of(record) for record in caplog.records if record.getMessage() == "request completed"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [("POST", "/graphql", 400)]
    assert len(request_id_in(said)) == 32


async def test_the_page_that_sent_a_refused_request_can_read_why(address: str) -> None:
    headers = {f"X-{number}": "a" for number in range(100)}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{address}/health", headers={**headers, "Origin": ORIGIN}) as answer,
    ):
        told = await answer.json()

    assert (answer.status, told["errors"][0]["extensions"]["code"]) == (431, "LIMIT_REACHED")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_a_page_can_read_an_answer_to_an_error_that_no_handler_caught(gateway: GatewayWorld) -> None:
    app = create_app(web_gateway(gateway, authenticator=None, cors_origins=(ORIGIN,)), Readiness())
    async with (
        listening(app) as address,
        aiohttp.ClientSession() as http,
        http.get(f"http://{address}/vms", headers={"Origin": ORIGIN}) as answer,
    ):
        told = await answer.json()

    (problem,) = told["errors"]
    assert (answer.status, problem["code"], problem["id"]) == (500, "INTERNAL", answer.headers["X-Request-ID"])
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def request_id_in(said: bytes) -> str:
    lines = said.split(b"\r\n\r\n")[0].decode().split("\r\n")
    (found,) = [
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.lower() == "x-request-id"
    ]
    return found
