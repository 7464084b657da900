"""A start on a database whose indexes an earlier build made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from embedded.ports import free_port
from models.indexes import Document
from tests.e2e.service import Deployment

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def stored(deployed: Deployment) -> AsyncIterator[AsyncDatabase[Document]]:
    async with AsyncMongoClient[Document](deployed.environment["MONGODB_ATLAS_URI"]) as client:
        yield client[deployed.environment["MONGODB_DATABASE"]]


async def keys_of(stored: AsyncDatabase[Document], collection: str) -> dict[str, list[str]]:
    return {index["name"]: list(index["key"]) async for index in await stored[collection].list_indexes()}


async def test_changed_and_renamed_indexes_are_no_obstacle(
    deployed: Deployment, stored: AsyncDatabase[Document]
) -> None:
    await stored["vms"].create_indexes([IndexModel([("user_id", 1)], name="vms_by_age")])
    await stored["launches"].create_indexes([IndexModel([("requested_at", 1)], name="an_earlier_name")])

    gateway = await deployed.gateway()
    async with asyncio.timeout(30):
        while (await keys_of(stored, "vms")).get("vms_by_age") != ["created_at"]:  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.1)

    assert (await keys_of(stored, "launches"))["an_earlier_name"] == ["requested_at"]
    assert gateway.process.popen.poll() is None


async def test_documents_that_a_unique_index_does_not_allow_end_the_start_with_one_line(
    deployed: Deployment, stored: AsyncDatabase[Document]
) -> None:
    twice = [{"_id": name, "vm_id": "1", "number": 1} for name in ("first", "second")]
    await stored["usage_intervals"].insert_many(twice)

    process = deployed.run("--role", "gateway", PORT=str(free_port()))
    status = await asyncio.to_thread(process.popen.wait, 60)
    said = process.log.read_text()

    assert status == 2
    assert said.splitlines()[-1] == (
        "usage_intervals: vm_id, number must be unique from this version on, but is not: _id first and second. "
        "Change or delete one of each, and start again"
    )
    assert "Traceback" not in said
    assert "is ready" not in said
