"""A bucket called games, and the client that speaks to it: fixtures for whoever imports them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from tests.providers.gcs_stand_in import BucketServer, bucket_server


@pytest.fixture
async def server() -> AsyncIterator[BucketServer]:
    async with bucket_server("games") as server:
        yield server


@pytest.fixture
async def bucket(server: BucketServer) -> AsyncIterator[Bucket]:
    http = Http()
    yield Bucket(http, "games", NoTokens(), endpoint_url=server.url)
    await http.close()
