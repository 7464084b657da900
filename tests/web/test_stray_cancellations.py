"""A cancellation that nobody asked for is answered like any other failure, whatever brought the request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from tests.gateway import ANN, GatewayWorld, listening, text_of, token, web_gateway
from tests.interrupted import InterruptedShelf
from web.app import create_app
from web.health import Readiness


@pytest.fixture
async def interrupted(gateway: GatewayWorld) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the player ann, at a gateway whose library is interrupted."""
    world = replace(gateway, services=replace(gateway.services, library=InterruptedShelf()))
    headers = {"Authorization": f"Bearer {token(ANN)}"}
    async with (
        listening(create_app(web_gateway(world), Readiness({}, {}))) as address,
        aiohttp.ClientSession(f"http://{address}", headers=headers) as session,
    ):
        yield session


async def test_over_http_it_is_an_answer_with_a_request_id(interrupted: aiohttp.ClientSession) -> None:
    async with interrupted.post("/graphql", json={"query": text_of("Games")}) as answer:
        told = await answer.json()

    assert (answer.status, told["data"], told["errors"][0]["extensions"]["code"]) == (200, None, "INTERNAL")
    assert answer.headers["X-Request-ID"]


async def test_on_a_socket_the_operation_is_answered_and_its_id_is_free_again(
    interrupted: aiohttp.ClientSession,
) -> None:
    async with interrupted.ws_connect("/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json(timeout=5))["type"] == "connection_ack"
        for _ in range(2):
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": text_of("Games")}})
            told = await socket.receive_json(timeout=5)

            assert (told["type"], told["payload"]["errors"][0]["extensions"]["code"]) == ("next", "INTERNAL")
            assert await socket.receive_json(timeout=5) == {"type": "complete", "id": "1"}
