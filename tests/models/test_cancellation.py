"""A task that waits for the database can be cancelled, whatever the driver makes of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from models.database import Database
from models.launches import Launch


class Swallowing:
    """A collection of a driver that mistakes a cancellation for an answer, or for an error."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def find_one(self, _: object) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error


class StubbedDatabase(Database):
    def __init__(self, collection: Swallowing) -> None:
        super().__init__("mongodb://127.0.0.1:1", "stubbed")
        self._stub = collection

    def _collection(self, model: object) -> Any:
        return self._stub


@pytest.mark.parametrize("error", [None, AutoReconnect("operation cancelled")])
async def test_a_cancellation_that_the_driver_swallows_still_ends_the_task(error: Exception | None) -> None:
    db = StubbedDatabase(Swallowing(error))
    task = asyncio.create_task(db.find_one(Launch, {"_id": "1"}))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await db.close()


async def test_what_is_read_while_a_cancelled_task_cleans_up_is_read(db: Database) -> None:
    async def cleaning() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "cleaned" if await db.find_one(Launch, {"_id": "1"}) is None else "found"

    task = asyncio.create_task(cleaning())
    await asyncio.sleep(0)
    task.cancel()

    assert await task == "cleaned"
