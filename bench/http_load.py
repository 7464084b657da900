"""Sends one GraphQL request again and again on kept-alive connections, and measures what the server needs for it."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Final, cast

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """`cpu_ms` is the server's CPU for each request; `p50_ms` is how long a client waited."""

    requests_per_s: float
    cpu_ms: float
    p50_ms: float


class _Client(asyncio.Protocol):
    """One connection with one request on it at a time."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = bytearray()
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lower = bytes(head).lower()
        at = lower.find(b"content-length:")
        if at < 0 or b" 200 " not in lower.split(b"\r\n", 1)[0]:
            self._end(ConnectionError(bytes(self._received[:500]).decode(errors="replace")))
        elif len(body) >= int(lower[at + 15 :].split(b"\r\n", 1)[0]):
            answer = bytes(body)
            self._received.clear()
            if self._answered is not None and not self._answered.done():
                self._answered.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server closed the connection"))

    async def ask(self) -> bytes:
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(self._request)
        return await self._answered

    def _end(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


def request_bytes(body: bytes, headers: dict[str, str]) -> bytes:
    """Return a POST request to `/graphql` as it is sent."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{''.join(lines)}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask_once(address: str, request: bytes) -> bytes:
    """Send the request once and return the response."""
    (client,) = await _connect(address, request, 1)
    try:
        return await client.ask()
    finally:
        client.transport.abort()


async def measure(address: str, pid: int, request: bytes, *, connections: int, seconds: float) -> Measured:
    """Send the request over these connections for this time, and return what was measured."""
    clients = await _connect(address, request, connections)
    waited: list[float] = []
    try:
        await asyncio.gather(*(client.ask() for client in clients))
        begun, cpu = time.perf_counter(), cpu_s(pid)
        until = begun + seconds

        async def repeat(client: _Client) -> None:
            while (sent := time.perf_counter()) < until:
                await client.ask()
                waited.append(time.perf_counter() - sent)

        await asyncio.gather(*map(repeat, clients))
        took_s, cpu = time.perf_counter() - begun, cpu_s(pid) - cpu
    finally:
        for client in clients:
            client.transport.abort()
    waited.sort()
    return Measured(len(waited) / took_s, 1000 * cpu / len(waited), 1000 * waited[len(waited) // 2])


async def _connect(address: str, request: bytes, count: int) -> list[_Client]:
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: _Client(request), host, int(port)))[1] for _ in range(count)]


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far, its threads included and its children not."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
