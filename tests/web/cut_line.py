"""A TCP line to a server that a test can cut and mend, as a player's network does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class CutLine:
    """While it is cut, open connections are gone and new ones are refused."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = host, int(port)
        self._cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""

    def cut(self) -> None:
        """End all connections, and accept none."""
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Accept connections again."""
        self._cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        if self._cut:
            writer.transport.abort()
            return
        onward, out = await asyncio.open_connection(*self._upstream)
        ends = {writer, out}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, out))
                both.create_task(_carry(onward, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    with suppress(OSError, RuntimeError):
        target.close()


@asynccontextmanager
async def line_to(upstream: str) -> AsyncIterator[CutLine]:
    """Open a line to a server, given as host and port."""
    line = CutLine(upstream)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    line.address = f"{host}:{port}"
    try:
        yield line
    finally:
        line.cut()
        server.close()
        await server.wait_closed()
