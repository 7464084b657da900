"""A bucket on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from simulator.bucket.api import BucketApi
from simulator.bucket.store import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "buckets")
    store.create_bucket("games")
    return store


@pytest.fixture
async def bucket_url(store: ObjectStore) -> AsyncIterator[str]:
    application = web.Application()
    BucketApi(store).add_routes(application.router)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
