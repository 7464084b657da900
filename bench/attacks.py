"""The attacks of `bench.load_under_attack`. One round opens what it needs, attacks, and closes everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import jwt

SECRET: Final = "a secret for the tokens of the attack load, of no use elsewhere"  # noqa: S105 - guards nothing
_PROTOCOL: Final = "graphql-transport-ws"
_MASK: Final = b"\0\0\0\0"


def token(user_id: str, role: str = "player", lasting_s: float = 36_000) -> str:
    """Return a signed token of this caller."""
    claims = {"sub": user_id, "role": role, "exp": time.time() + lasting_s}
    return jwt.encode(claims, SECRET, "HS256")


@dataclass
class Target:
    """A gateway, and players enough to have many names."""

    host: str
    port: int
    http: aiohttp.ClientSession
    chance: random.Random
    players: list[str] = field(default_factory=lambda: [token(f"player-{number}") for number in range(40)])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/graphql"

    def player(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.chance.choice(self.players)}"}

    async def post(self, content: Any, headers: dict[str, str]) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"Content-Type": "application/json", **headers}
        async with self.http.post(self.url, data=body, headers=sent) as answer:
            await answer.read()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a WebSocket without a library, which would read and answer automatically."""
        async with self.connection() as (reader, writer):
            writer.write(
                b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            yield reader, writer


def frame(content: Any) -> bytes:
    """Return a masked text frame with this JSON."""
    text = json.dumps(content).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + _MASK + text


async def flood(target: Target) -> None:
    """Send many requests at once as one player."""
    headers = target.player()
    await asyncio.gather(*(target.post({"query": "{ viewer { id } }"}, headers) for _ in range(20)))


async def flood_of_strangers(target: Target) -> None:
    """Send many requests at once without credentials."""
    await asyncio.gather(*(target.post({"query": "{ viewer { id } }"}, {}) for _ in range(20)))


async def bombs(target: Target) -> None:
    """Send documents that all differ, so that caching does not help."""
    name = f"Q{secrets.token_hex(6)}"
    aliases = " ".join(f"a{number}: viewer {{ id }}" for number in range(100))
    fields = " ".join(f"... on Viewer {{ a{number}: id }}" for number in range(29))
    spreads = "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }} " for n in range(40))
    for body in (
        f"{{ {aliases} }}",
        f"{{ viewer {{ {fields} }} }}",
        "{ viewer { " + "... { id } " * 48 + "} }",
        "{ ...F0 } " + spreads + "fragment F40 on Query { viewer { id } }",
        "{ vms(first: 100) { edges { node { launch { vm { launch { vm { id } } } } } } } }",
        "{ viewer { id " + "@include(if: true) " * 200 + "} }",
        "{" * 500,
    ):
        await target.post({"query": f"query {name} {body}"}, target.player())


async def big_bodies(target: Target) -> None:
    """Send bodies that are large, deep or not text."""
    for body in (b'{"query": "' + b" " * 120_000 + b'"}', b"[" * 100_000, b"9" * 500_000, b"\xff" * 60_000):
        with contextlib.suppress(aiohttp.ClientError):
            await target.post(body, target.player())


async def token_garbage(target: Target) -> None:
    """Send credentials that are altered, unknown or long."""
    good = target.chance.choice(target.players)
    for sent in (
        {"Authorization": f"Bearer {good[:-4]}{secrets.token_hex(2)}"},
        {"Authorization": f"Bearer {jwt.encode({'sub': secrets.token_hex(8)}, secrets.token_hex(32), 'HS256')}"},
        {"X-API-Key": f"gamer_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"},
        {"Authorization": "Bearer " + secrets.token_hex(3_500)},
    ):
        await target.post({"query": "{ viewer { id } }"}, sent)


async def dawdlers(target: Target) -> None:
    """Send heads that do not end and bodies that do not arrive, and open silent sockets."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(60):
            _, writer = await stack.enter_async_context(target.connection())
            if number % 3:
                writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\n")
            if number % 3 == 2:
                writer.write(b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
        for _ in range(10):
            await stack.enter_async_context(target.socket())
        await asyncio.sleep(12)


async def crumbs(target: Target) -> None:
    """Send a body in chunks of one byte."""
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(5), target.connection() as (reader, writer):
            writer.write(head + b"1\r\n{\r\n" * 40_000)
            await reader.read()


async def tiny_frames(target: Target) -> None:
    """Send many empty frames."""
    kind = target.chance.choice([b"\x89\x80", b"\x81\x80", b"\x00\x80"]) + _MASK
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(5), target.socket() as (reader, writer):
            writer.write((b"\x01\x80" + _MASK if kind[0] == 0 else b"") + kind * 40_000)
            await reader.read()


async def deaf_sockets(target: Target) -> None:
    """Request large responses, and read nothing."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(25), target.socket() as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # not in the types
            writer.write(frame({"type": "connection_init", "payload": target.player()}))
            for _ in range(90):
                writer.write(frame({"type": "ping", "payload": {"echo": "x" * 60_000}}))
                await writer.drain()
            await asyncio.sleep(22)


async def deaf_downloads(target: Target) -> None:
    """Request pages, and read nothing."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(25), target.connection() as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # not in the types
            while True:
                writer.write(b"GET /graphql HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n" * 100)
                await writer.drain()


async def subscriptions(target: Target) -> None:
    """Open more sockets than allowed, each with more operations than allowed."""
    headers = target.player()
    query = "subscription { spendingAlerts { message } }"
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(25):
            socket = await stack.enter_async_context(target.http.ws_connect(target.url, protocols=[_PROTOCOL]))
            await socket.send_json({"type": "connection_init", "payload": headers})
            for number in range(60):
                if not socket.closed:
                    subscribe = {"id": str(number), "type": "subscribe", "payload": {"query": query}}
                    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                        await socket.send_json(subscribe)
        await asyncio.sleep(5)


ATTACKS: Final[dict[str, Callable[[Target], Awaitable[None]]]] = {
    "flood": flood,
    "flood of strangers": flood_of_strangers,
    "bombs": bombs,
    "big bodies": big_bodies,
    "token garbage": token_garbage,
    "dawdlers": dawdlers,
    "crumbs": crumbs,
    "tiny frames": tiny_frames,
    "deaf sockets": deaf_sockets,
    "deaf downloads": deaf_downloads,
    "subscriptions": subscriptions,
}
