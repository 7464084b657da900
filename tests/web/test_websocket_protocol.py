"""Connections that cost much for the little they send, or that are never read: by somebody who shows no credentials."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway import ANN, GatewayWorld, listening, token, web_gateway
from tests.web.test_attacks_http import UPGRADE
from web import graphiql
from web.app import create_app
from web.health import Readiness
from web.http_protocol import hardened_http_protocol
from web.websocket_protocol import hardened_websocket_protocol

MASK = b"\0\0\0\0"
PING, TEXT, EMPTY_PIECE = b"\x89\x80" + MASK, b"\x81\x80" + MASK, b"\x00\x80" + MASK
FIRST_PIECE = b"\x01\x80" + MASK
POST = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
_LARGEST = max((Path(graphiql.FOLDER) / "dist").glob("*.js.gz"), key=lambda file: file.stat().st_size)
LARGE_FILE = f"{graphiql.ASSETS_PATH}/{_LARGEST.name.removesuffix('.gz')}"


@pytest.fixture
async def address(gateway: GatewayWorld) -> AsyncIterator[str]:
    app = create_app(web_gateway(gateway), Readiness())
    async with listening(
        app, hardened_http_protocol(5, slow_reader_s=0.3), hardened_websocket_protocol(0.3, 60)
    ) as address:
        yield address


async def said_to(address: str, *sent: bytes) -> bytes:
    """All that is answered until the server ends the connection."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    said = b""
    try:
        async with asyncio.timeout(4):
            with contextlib.suppress(ConnectionError):
                for part in sent:
                    writer.write(part)
                    await writer.drain()
                while more := await reader.read(65_536):
                    said += more
        return said
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "frames",
    [PING * 20_000, TEXT * 20_000, FIRST_PIECE + EMPTY_PIECE * 20_000],
    ids=["pings", "empty messages", "a message of empty pieces"],
)
async def test_a_flood_of_tiny_frames_ends_the_socket(address: str, frames: bytes) -> None:
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(UPGRADE + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")

    writer.write(frames)
    said = b""
    with contextlib.suppress(ConnectionError):  # who sends on may not hear why
        async with asyncio.timeout(2):  # much less than the time until connection_init
            said = await reader.read()

    assert len(said) < 1_500
    writer.transport.abort()


async def test_a_few_pings_are_answered(address: str) -> None:
    reader, writer = await asyncio.open_connection(*address.split(":"))

    writer.write(UPGRADE + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PING * 3)

    assert await reader.readexactly(6) == b"\x8a\x00" * 3
    writer.transport.abort()


async def test_a_body_of_crumbs_is_refused_before_it_is_read(address: str) -> None:
    said = await said_to(address, POST + b"\r\n", b"1\r\n{\r\n" * 4_000)

    assert said.startswith(b"HTTP/1.1 400")
    assert b"The chunks of the request are too small." in said


@pytest.mark.parametrize("size", [1, 4, 1000])
async def test_a_body_in_pieces_is_read(address: str, size: int) -> None:
    query = b'{"query": "{ viewer { id } }"}' + b" " * (5 if size < 1000 else 50_000)
    parts = (query[start : start + size] for start in range(0, len(query), size))
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = POST + f"Connection: close\r\nAuthorization: Bearer {token(ANN)}\r\n\r\n".encode()

    said = await said_to(address, head + body)

    assert said.startswith(b"HTTP/1.1 200")
    assert b'"ann"' in said


async def test_a_body_that_goes_on_after_its_answer_is_not_read_to_its_end(address: str) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\n\r\n"

    said = await said_to(address, head, b" " * 1000)

    assert said.startswith(b"HTTP/1.1 404")  # and the connection was closed, or this would have timed out


async def test_a_small_body_after_its_answer_leaves_the_connection_good(address: str) -> None:
    first = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    reader, writer = await asyncio.open_connection(*address.split(":"))

    try:
        writer.write(first)
        first_status, _ = await answer_from(reader)
        writer.write(b"hello" + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        second_status, _ = await answer_from(reader)
    finally:
        writer.transport.abort()

    assert (first_status, second_status) == (404, 200)


async def answer_from(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:"))
    return int(head.split()[1]), await reader.readexactly(int(length))


async def test_a_client_that_reads_nothing_is_cut_off(address: str) -> None:
    """Its answers fill the buffers of the system; what does not fit there must not stay here for ever."""
    host, port = address.split(":")
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(stuck, (host, int(port)))
        many = f"GET {LARGE_FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 50

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(stuck, many), 4)
    finally:
        stuck.close()


async def ask_for_ever(client: socket.socket, many: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, many)
