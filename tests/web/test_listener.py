"""Connections as the service's own listener accepts them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tests.gateway import GatewayWorld, listening, web_gateway
from web.app import create_app
from web.health import Readiness
from web.http_protocol import HardenedHttpProtocol

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_connection_that_is_kept_alive_sends_each_answer_without_delay(gateway: GatewayWorld) -> None:
    accepted: list[socket.socket] = []

    class Watched(HardenedHttpProtocol):
        def connection_made(self, transport: Any) -> None:
            accepted.append(transport.get_extra_info("socket"))
            super().connection_made(transport)

    async with listening(create_app(web_gateway(gateway), Readiness()), Watched) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        statuses = [await _status_of(reader, writer) for _ in range(2)]
        no_delay = [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in accepted]
        writer.transport.abort()

    assert statuses == [b"HTTP/1.1 200 OK"] * 2
    assert no_delay == [1]


async def test_a_crowd_waits_to_be_accepted_however_few_are_accepted_at_once(gateway: GatewayWorld) -> None:
    async with listening(create_app(web_gateway(gateway), Readiness()), backlog=4) as address:
        host, port = address.split(":")
        statuses = [await _status_at(host, port)]  # it serves
        # It runs in this thread and accepts none of them now. Those that the system does not queue time out.
        crowd = [socket.create_connection((host, int(port)), timeout=0.5) for _ in range(200)]
        statuses.append(await _status_at(host, port))
        for waiting in crowd:
            waiting.close()

    assert statuses == [b"HTTP/1.1 200 OK"] * 2


async def _status_at(host: str, port: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        return await _status_of(reader, writer)
    finally:
        writer.transport.abort()


async def _status_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send one request, read its whole answer, and return the status line."""
    writer.write(GET)
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).splitlines()
    length = next(line.partition(b":")[2] for line in headers if line.lower().startswith(b"content-length:"))
    await reader.readexactly(int(length))
    return status
