"""Limits on how often and how much at once: each names itself, and the next caller is served all the while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from auth.rate_limits import SocketsPerCaller
from schema.ids import global_id
from tests.gateway import ANN, BOB, GatewayWorld, a_vm, listening, request_rate, token, web_gateway
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness
from web.http_protocol import HardenedHttpProtocol

VIEWER = {"query": "{ viewer { id } }"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def bearer(caller: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(caller)}"}


async def test_a_caller_over_its_rate_is_told_which_limit_and_others_are_served(
    gateway: GatewayWorld, http: aiohttp.ClientSession
) -> None:
    limited = web_gateway(gateway, rate=request_rate(gateway, 3))
    async with listening(create_app(limited, Readiness())) as address:
        url = f"http://{address}"
        statuses = []
        for _ in range(4):
            async with http.post(f"{url}/graphql", json=VIEWER, headers=bearer(ANN)) as reply:
                statuses.append(reply.status)
                last, answer = reply, await reply.json()
        async with http.post(f"{url}/graphql", json=VIEWER, headers=bearer(BOB)) as reply:
            other = reply.status

    assert (statuses, other) == ([200, 200, 200, 429], 200)
    extensions = answer["errors"][0]["extensions"]
    assert (extensions["code"], extensions["limit"], extensions["allowed"]) == (
        "LIMIT_REACHED",
        "requestsPerMinute",
        3,
    )
    assert 0 < int(last.headers["Retry-After"]) <= 60


async def test_each_request_of_an_array_counts(gateway: GatewayWorld, http: aiohttp.ClientSession) -> None:
    limits = WebLimits(max_batch_size=5)
    limited = web_gateway(gateway, rate=request_rate(gateway, 3), limits=limits)
    async with (
        listening(create_app(limited, Readiness())) as address,
        http.post(f"http://{address}/graphql", json=[VIEWER] * 5, headers=bearer(ANN)) as reply,
    ):
        answers = await reply.json()

    told = [one["errors"][0]["extensions"]["limit"] if "errors" in one else None for one in answers]
    assert told == [None] * 3 + ["requestsPerMinute"] * 2


async def test_each_operation_of_a_socket_counts(gateway: GatewayWorld, http: aiohttp.ClientSession) -> None:
    limited = web_gateway(gateway, rate=request_rate(gateway, 3))
    async with listening(create_app(limited, Readiness())) as address:
        socket = await opened(http, f"http://{address}")
        for number in range(3):
            await socket.send_json({"id": str(number), "type": "subscribe", "payload": VIEWER})
        answers = [await socket.receive_json() for _ in range(6)]
        await socket.close()

    refused = [answer["payload"][0]["extensions"]["limit"] for answer in answers if answer["type"] == "error"]
    assert sorted(answer["type"] for answer in answers) == ["complete"] * 2 + ["connection_ack", "error"] + ["next"] * 2
    assert refused == ["requestsPerMinute"]  # to open it was the first of the three


async def test_guessing_tokens_is_counted_by_address(gateway: GatewayWorld, http: aiohttp.ClientSession) -> None:
    limited = web_gateway(gateway, rate=request_rate(gateway, 2))
    async with listening(create_app(limited, Readiness())) as address:
        url = f"http://{address}"
        statuses = []
        for guess in ("a", "b", "c"):
            async with http.post(f"{url}/graphql", json=VIEWER, headers={"Authorization": f"Bearer {guess}"}) as reply:
                statuses.append(reply.status)

    assert statuses == [401, 401, 429]


async def test_a_socket_too_many_is_closed_and_one_that_ends_makes_room(
    gateway: GatewayWorld, http: aiohttp.ClientSession
) -> None:
    limited = web_gateway(gateway, sockets=SocketsPerCaller(1))
    async with listening(create_app(limited, Readiness())) as address:
        url = f"http://{address}"
        first = await opened(http, url)
        second = await opened(http, url)
        refused = await second.receive()
        await first.close()
        third = await opened(http, url)
        welcome = await third.receive_json()
        await third.close()

    assert (refused.type, refused.data) == (aiohttp.WSMsgType.CLOSE, 1013)
    assert welcome["type"] == "connection_ack"


async def test_a_flood_of_messages_closes_the_socket(gateway: GatewayWorld, http: aiohttp.ClientSession) -> None:
    limited = web_gateway(gateway, limits=WebLimits(max_messages_per_minute=60))
    async with listening(create_app(limited, Readiness())) as address:
        url = f"http://{address}"
        socket = await opened(http, url)
        for _ in range(20):
            await socket.send_json({"type": "ping"})
        closing = [message async for message in socket]

    assert socket.close_code == 1013
    assert len(closing) < 20


async def test_a_subscription_that_lasts_too_long_ends_with_an_error(
    gateway: GatewayWorld, http: aiohttp.ClientSession
) -> None:
    limited = web_gateway(gateway, limits=WebLimits(max_subscription_s=1.5))
    await gateway.db.insert(a_vm("200000000000000001", "ann"))
    vm = global_id("VM", "200000000000000001")
    async with listening(create_app(limited, Readiness())) as address:
        url = f"http://{address}"
        socket = await opened(http, url)
        query = "subscription($id: ID!) { vmStatus(vmId: $id) { status } }"
        payload = {"query": query, "variables": {"id": vm}}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        answers = [await socket.receive_json() for _ in range(3)]
        await socket.close()

    assert [answer["type"] for answer in answers] == ["connection_ack", "next", "error"]
    assert answers[2]["payload"][0]["extensions"]["limit"] == "subscriptionSeconds"


async def opened(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"])
    await socket.send_json({"type": "connection_init", "payload": bearer(ANN)})
    return socket


class Impatient(HardenedHttpProtocol):
    head_timeout_s = 0.2


async def test_a_head_that_does_not_come_is_not_waited_for(gateway: GatewayWorld) -> None:
    async with listening(create_app(web_gateway(gateway), Readiness()), Impatient) as address:
        host, port = address.split(":")
        silent_reader, silent = await asyncio.open_connection(host, int(port))
        slow_reader, slow = await asyncio.open_connection(host, int(port))
        slow.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:")
        ends = await asyncio.wait_for(asyncio.gather(silent_reader.read(), slow_reader.read()), 4)
        quick_reader, quick = await asyncio.open_connection(host, int(port))
        quick.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await quick_reader.readuntil(b"\r\n\r\n")
        body = json.loads(await quick_reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0])))
        for writer in (silent, slow, quick):
            writer.close()

    assert list(ends) == [b"", b""]
    assert body["message"] == "Gamer Provisioner API"
