"""A pool, and a database as a worker reaches it that dies at a write."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from models.database import Database
from tests.fleet.warm_pool.pool import MortalDatabase, Pool


@pytest.fixture
def pool(db: Database) -> Pool:
    return Pool(db)


@pytest.fixture
async def mortal(db: Database, mongodb_uri: str) -> AsyncIterator[MortalDatabase]:
    database = MortalDatabase(mongodb_uri, db.name)
    yield database
    await database.close()
