"""A TCP proxy before one service, which a drill cuts, silences or slows down, and readings of /ready meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

import aiohttp

_CHUNK: Final = 65_536
_READ_EVERY_S: Final = 0.25
_NO_RESPONSE: Final = 0


class Mode(Enum):
    PASS = auto()
    AWAY = auto()  # connections are reset, and new ones too
    SILENT = auto()  # connections are accepted, and nothing is passed on
    SLOW = auto()  # each piece is passed on late


class Wire:
    """Passes bytes between clients and one server, as `mode` says."""

    def __init__(self, host: str, port: int, *, delay_s: float = 0.25) -> None:
        self._upstream = (host, port)
        self._delay_s = delay_s
        self._mode = Mode.PASS
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def set_mode(self, mode: Mode) -> None:
        """Change what happens to connections; those that are open are reset by AWAY."""
        self._mode = mode
        if mode is Mode.SILENT:
            self._passing.clear()
        else:
            self._passing.set()
        if mode is Mode.AWAY:
            self.reset()

    def reset(self) -> None:
        """Reset every open connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        """Reset every connection and wait until all are gone."""
        self.reset()
        self._passing.set()
        if self._connections:
            await asyncio.wait(self._connections)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connected(reader, writer)
        finally:
            self._connections.discard(task)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.AWAY:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        both = (self._pass(reader, server_writer), self._pass(server_reader, writer))
        try:
            await asyncio.gather(*both)
        finally:
            self._writers -= {writer, server_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_CHUNK):
                await self._passing.wait()
                if self._mode is Mode.SLOW:
                    await asyncio.sleep(self._delay_s)
                writer.write(piece)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def wire(host: str, port: int, *, delay_s: float = 0.25) -> AsyncIterator[Wire]:
    """Open a proxy on a free port."""
    opened = Wire(host, port, delay_s=delay_s)
    server = await asyncio.start_server(opened.connected, "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    try:
        yield opened
    finally:
        server.close()
        await opened.close()


@dataclass(frozen=True, slots=True)
class Reading:
    """One response of /ready. `status` is 0 if there was none; `failing` are the checks that are not ok."""

    at: float
    status: int
    failing: tuple[str, ...] = ()
    writable: bool = True


@dataclass
class Readings:
    """What /ready of one gateway says, four times a second."""

    url: str
    http: aiohttp.ClientSession
    taken: list[Reading] = field(default_factory=list)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[Readings]:
        """Read until the block ends."""
        task = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    def between(self, since: float, until: float) -> list[Reading]:
        """Return the readings of a time."""
        return [each for each in self.taken if since <= each.at < until]

    async def until(self, status: int, within_s: float, *, writable: bool | None = None) -> float | None:
        """Return after how many seconds /ready responded with this status, or None if it did not in time."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < within_s:
            for each in self.between(began, float("inf")):
                if each.status == status and writable in (None, each.writable):
                    return each.at - began
            await asyncio.sleep(_READ_EVERY_S / 2)
        return None if passed else 0.0

    async def _keep(self) -> None:
        while True:
            self.taken.append(await self._read())
            await asyncio.sleep(_READ_EVERY_S)

    async def _read(self) -> Reading:
        try:
            async with self.http.get(f"{self.url}/ready", timeout=aiohttp.ClientTimeout(8)) as reply:
                checks: dict[str, Any] = (await reply.json())["checks"]
                status = reply.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Reading(time.monotonic(), _NO_RESPONSE)
        failing = tuple(name for name, check in checks.items() if not check["ok"])
        return Reading(time.monotonic(), status, failing, bool(checks["database"].get("writable", True)))
