"""A metadata server on a port of its own, for programs that really run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from simulator.google.instance_metadata import InstanceMetadata, InstanceMetadataApi


@asynccontextmanager
async def metadata_server(metadata: InstanceMetadata) -> AsyncIterator[str]:
    """Yield the host and port of a server that tells this metadata to every asker."""
    app = web.Application()
    InstanceMetadataApi(lambda _: metadata).add_routes(app.router)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(so: Callable[[], bool]) -> None:
    """Wait for what another program does, at most 20 seconds."""
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen in 20 seconds")
