"""Attacks over WebSocket: each ends with its one close code, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Final

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.gateway import ANN, token
from tests.web.attacked_gateway import INTERNAL, AttackedGateway, attacked

__all__ = ["attacked"]

VIEWER: Final = {"query": "{ viewer { id } }"}
# It is made when tests are collected, and has to be good until the last of them.
LONG_S: Final = 10 * 24 * 3600
INIT: Final[dict[str, Any]] = {"type": "connection_init", "payload": {"Authorization": f"Bearer {token(ANN, LONG_S)}"}}
EVIL: Final[tuple[Any, ...]] = ({"$ne": None}, [], None, 7, "x\n", "../../x", "' OR 1=1", "$where")


def opened(attacked: AttackedGateway) -> connect:
    return connect(f"ws://{attacked.address}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")])


async def say(socket: ClientConnection, *messages: Any) -> None:
    with suppress(ConnectionClosed):
        for message in messages:
            await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))


async def end_of(socket: ClientConnection) -> tuple[int | None, str]:
    """The close code, and all that was said before; nothing in it speaks of the inside."""
    said = ""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            async for message in socket:
                said += str(message)
    assert INTERNAL.search(said + (socket.close_reason or "")) is None, said
    return socket.close_code, said


# name: (messages, close code)
ENDS: Final[dict[str, tuple[list[Any], int]]] = {
    "silence": ([], 4408),
    "pings only": ([{"type": "ping"}] * 5, 4408),
    "a question before a name": ([{"type": "subscribe", "id": "1", "payload": VIEWER}], 4401),
    "a forged token": ([{"type": "connection_init", "payload": {"Authorization": "Bearer a.b.c"}}], 4403),
    "a token that is an operator": ([{"type": "connection_init", "payload": {"Authorization": {"$gt": ""}}}], 4403),
    "two names": ([{"type": "connection_init", "payload": {**INIT["payload"], "X-API-Key": "k"}}], 4403),
    "a name twice": ([INIT, INIT], 4429),
    "a name that is a list": ([{"type": "connection_init", "payload": ["Authorization"]}], 4400),
    "no JSON": ([INIT, "{"], 4400),
    "no object": ([INIT, [1]], 4400),
    "brackets without end": ([INIT, "[" * 15_000], 4400),
    "a number of 5,000 digits": ([INIT, '{"type": ' + "9" * 5_000 + "}"], 4400),
    "half a surrogate pair": ([INIT, '{"type": "\\ud800"}'], 4400),
    "bytes": ([INIT, b"\x00" * 100], 4400),
    "a type nobody knows": ([INIT, {"type": "start", "id": "1", "payload": VIEWER}], 4400),
    "a type that is an object": ([INIT, {"type": {"$ne": "ping"}}], 4400),
    "an id of 300 letters": ([INIT, {"type": "subscribe", "id": "x" * 300, "payload": VIEWER}], 4400),
    "a question that is a list": ([INIT, {"type": "subscribe", "id": "1", "payload": [VIEWER]}], 4400),
    "a query that is an object": ([INIT, {"type": "subscribe", "id": "1", "payload": {"query": {"$ne": 1}}}], 4400),
    "a message of 200 kB": ([INIT, json.dumps({"type": "ping", "payload": {"x": "x" * 200_000}})], 1009),
    "a flood of pings": ([INIT, *[{"type": "ping"}] * 200], 1013),
    "a flood of questions": (
        [INIT, *({"type": "subscribe", "id": str(n), "payload": VIEWER} for n in range(200))],
        1013,
    ),
    "a flood of ends": ([INIT, *({"type": "complete", "id": str(n)} for n in range(200))], 1013),
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_conversation_that_does_harm_has_its_one_end(attacked: AttackedGateway, name: str) -> None:
    messages, code = ENDS[name]

    async with opened(attacked) as socket:
        await say(socket, *messages)
        ended, _ = await end_of(socket)

    assert ended == code
    await attacked.nothing_happened()


@pytest.mark.parametrize("id", EVIL)
async def test_no_id_opens_what_is_not_ones_own(attacked: AttackedGateway, id: Any) -> None:
    query = "subscription($i: ID!) { vmStatus(vmId: $i) { id } }"
    async with opened(attacked) as socket:
        await say(socket, INIT, {"type": "subscribe", "id": "1", "payload": {"query": query, "variables": {"i": id}}})
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}

        told = json.loads(await socket.recv())

    assert told["type"] == "error"
    assert told["payload"][0]["extensions"]["code"] in ("NOT_FOUND", "BAD_USER_INPUT")
    assert attacked.world.machines.followers == 0


async def test_forty_sockets_of_one_caller_are_five(attacked: AttackedGateway) -> None:
    async def one() -> int | None:
        async with opened(attacked) as socket:
            await say(socket, INIT)
            with suppress(ConnectionClosed):
                async with asyncio.timeout(5):
                    assert json.loads(await socket.recv()) == {"type": "connection_ack"}
                    await everybody.wait()
                    return None
            left.append(1)
            if len(left) == 35:
                everybody.set()
            return socket.close_code

    everybody, left = asyncio.Event(), list[int]()
    ends = await asyncio.gather(*(one() for _ in range(40)))

    assert sorted(ends, key=str) == [1013] * 35 + [None] * 5


async def test_a_hundred_sockets_that_say_nothing_are_all_closed(attacked: AttackedGateway) -> None:
    async def silent() -> int | None:
        async with opened(attacked) as socket:
            return (await end_of(socket))[0]

    assert set(await asyncio.gather(*(silent() for _ in range(100)))) == {4408}


async def test_a_bomb_ends_its_operation_and_leaves_the_socket(attacked: AttackedGateway) -> None:
    bomb = "{ viewer { " + "id " * 990 + "} }"
    async with opened(attacked) as socket:
        await say(socket, INIT, {"type": "subscribe", "id": "1", "payload": {"query": bomb}})
        await socket.recv()
        refused = json.loads(await socket.recv())
        await say(socket, {"type": "subscribe", "id": "1", "payload": VIEWER})
        answered = json.loads(await socket.recv())

    assert refused["payload"][0]["extensions"]["limit"] == "repeatedFields"
    assert answered["payload"]["data"] == {"viewer": {"id": "ann"}}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://"])
async def test_no_page_of_another_site_opens_a_socket(attacked: AttackedGateway, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(f"ws://{attacked.address}/graphql", origin=Origin(origin)):
            pass

    assert refusal.value.response.status_code == 403
