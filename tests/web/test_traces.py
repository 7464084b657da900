"""The caller's trace travels in the head of a request, and in the first message of a socket."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.gateway import ANN, GatewayWorld, listening, text_of, token, web_gateway
from tests.otlp import collector
from tests.web.test_socket import acknowledged, hear, say, socket, subscribe
from tracing.export import Destination, export_traces
from web.app import create_app
from web.health import Readiness
from web.logging_setup import _add_correlation

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
CONSOLES = {"query": text_of("Vms")}


@pytest.fixture
async def served(gateway: GatewayWorld) -> AsyncIterator[str]:
    async with listening(create_app(web_gateway(gateway), Readiness())) as address:
        yield address


async def ask(served: str, *parents: str) -> None:
    headers = [("Authorization", f"Bearer {token(ANN)}"), *(("traceparent", parent) for parent in parents)]
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{served}/graphql", json=CONSOLES, headers=headers) as reply,
    ):
        assert reply.status == 200


@pytest.mark.parametrize(
    ("parents", "names"),
    [((PARENT,), ["query Vms"]), ((), []), ((PARENT, PARENT), []), (("00-something-else",), [])],
)
async def test_a_query_is_traced_where_its_caller_is(served: str, parents: tuple[str, ...], names: list[str]) -> None:
    with collector() as found:
        async with export_traces(Destination(found.url)):
            await ask(served, *parents)

    assert [(span.name, span.trace_id, span.parent_id) for span in found.spans] == [
        (name, TRACE, SPAN) for name in names
    ]


async def test_operations_of_a_socket_continue_the_trace_of_its_first_message(served: str) -> None:
    with collector() as found:
        async with export_traces(Destination(found.url)):
            async with socket(served) as opened:
                await say(opened, {"type": "connection_init", "payload": {"traceparent": PARENT}})
                assert await hear(opened) == {"type": "connection_ack"}
                await subscribe(opened, "1", CONSOLES)
                assert (await hear(opened))["type"] == "next"
            async with acknowledged(served) as opened:
                await subscribe(opened, "1", CONSOLES)
                assert (await hear(opened))["type"] == "next"

    assert [(span.name, span.trace_id, span.parent_id) for span in found.spans] == [("query Vms", TRACE, SPAN)]


async def test_an_operation_of_a_socket_may_name_a_trace_of_its_own(served: str) -> None:
    with collector() as found:
        async with export_traces(Destination(found.url)), acknowledged(served) as opened:
            await subscribe(opened, "1", {**CONSOLES, "extensions": {"traceparent": PARENT}})
            assert (await hear(opened))["type"] == "next"

    assert [(span.name, span.trace_id, span.parent_id) for span in found.spans] == [("query Vms", TRACE, SPAN)]


async def test_lines_of_a_request_name_its_caller_s_trace_also_when_nothing_is_traced(
    served: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "web"):
        caplog.handler.addFilter(_add_correlation)
        await ask(served, PARENT)

    assert [record.__dict__.get("trace") for record in caplog.records if record.name == "web"] == [TRACE]
