"""Indexes that an earlier build left become those that today's code asks for, while that build may still run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from errors import MigrationError
from models.database import Database
from models.indexes import Document, ensure
from tests.fault_proxy import Error, Fault, FaultProxy

BY_AGE = IndexModel([("at", 1)], name="by_age")
ONCE = IndexModel([("owner", 1), ("number", 1)], name="once", unique=True)


@pytest.fixture
async def collection(db: Database, mongodb_uri: str) -> AsyncIterator[AsyncCollection[Document]]:
    async with AsyncMongoClient[Document](mongodb_uri) as client:
        yield client[db.name]["things"]


async def indexes(collection: AsyncCollection[Document]) -> dict[str, str]:
    """Return what each index but that of the ids holds, by its name."""
    found = {each.pop("name"): each async for each in await collection.list_indexes()}
    return {name: described(each) for name, each in found.items() if name != "_id_"}


def described(index: Mapping[str, Any]) -> str:
    options = {name: value for name, value in index.items() if name not in {"v", "key", "ns"}}
    return " ".join([",".join(index["key"]), *(f"{name}={value}" for name, value in options.items())])


async def test_what_is_missing_is_created_and_a_second_start_changes_nothing(
    collection: AsyncCollection[Document],
) -> None:
    await ensure(collection, [BY_AGE, ONCE])
    first = await indexes(collection)

    await ensure(collection, [BY_AGE, ONCE])

    assert first == await indexes(collection) == {"by_age": "at", "once": "owner,number unique=True"}


async def test_a_new_index_is_made_beside_what_is_there(collection: AsyncCollection[Document]) -> None:
    await collection.insert_one({"at": 1})
    await collection.create_indexes([IndexModel([("old", 1)], name="of_an_older_build")])

    await ensure(collection, [BY_AGE])

    assert await indexes(collection) == {"of_an_older_build": "old", "by_age": "at"}


async def test_an_index_with_other_keys_under_its_name_is_replaced(collection: AsyncCollection[Document]) -> None:
    await collection.create_indexes([IndexModel([("status", 1)], name="by_age")])

    await ensure(collection, [BY_AGE])

    assert await indexes(collection) == {"by_age": "at"}


async def test_a_renamed_index_is_taken_as_it_is(collection: AsyncCollection[Document]) -> None:
    await collection.create_indexes([IndexModel([("at", 1)], name="by_time")])

    await ensure(collection, [BY_AGE])

    assert await indexes(collection) == {"by_time": "at"}


async def test_two_builds_with_different_indexes_may_start_again_and_again(
    collection: AsyncCollection[Document],
) -> None:
    older, newer = [IndexModel([("at", 1)], name="by_time"), BY_AGE], [ONCE, IndexModel([("at", -1)], name="latest")]

    for build in (older, newer, older, newer):
        await ensure(collection, build)

    assert await indexes(collection) == {"by_time": "at", "once": "owner,number unique=True", "latest": "at"}


async def test_a_time_to_live_is_changed_in_place(collection: AsyncCollection[Document]) -> None:
    await ensure(collection, [IndexModel([("end", 1)], name="end", expireAfterSeconds=0)])

    await ensure(collection, [IndexModel([("end", 1)], name="end", expireAfterSeconds=60)])

    assert await indexes(collection) == {"end": "end expireAfterSeconds=60"}


async def test_an_index_becomes_unique_and_not_unique_again(collection: AsyncCollection[Document]) -> None:
    plain = IndexModel([("owner", 1), ("number", 1)], name="once")
    await collection.insert_many([{"owner": "a", "number": 1}, {"owner": "a", "number": 2}])
    await ensure(collection, [plain])

    await ensure(collection, [ONCE])
    unique = await indexes(collection)
    await ensure(collection, [plain])

    assert unique == {"once": "owner,number unique=True"}
    assert await indexes(collection) == {"once": "owner,number"}


async def test_duplicates_are_named_and_keep_the_index_as_it_was(collection: AsyncCollection[Document]) -> None:
    await collection.insert_many([{"_id": name, "owner": "a", "number": 1} for name in ("first", "second")])
    await ensure(collection, [IndexModel([("owner", 1), ("number", 1)], name="once")])

    with pytest.raises(MigrationError) as refusal:
        await ensure(collection, [ONCE])

    assert refusal.value.message == (
        "things: owner, number must be unique from this version on, but is not: _id first and second. "
        "Change or delete one of each, and start again"
    )
    assert await indexes(collection) == {"once": "owner,number"}


async def test_documents_without_the_key_are_duplicates_too(collection: AsyncCollection[Document]) -> None:
    await collection.insert_many([{"_id": 1}, {"_id": 2, "owner": None, "number": None}])

    with pytest.raises(MigrationError, match="_id 1 and 2"):
        await ensure(collection, [ONCE])


async def test_a_retired_index_is_dropped_once_what_replaces_it_is_there(collection: AsyncCollection[Document]) -> None:
    await collection.create_indexes([IndexModel([("old", 1)], name="retired"), IndexModel([("other", 1)], name="kept")])

    await ensure(collection, [BY_AGE], retired=["retired"])

    assert await indexes(collection) == {"kept": "other", "by_age": "at"}


async def test_a_retired_name_of_an_index_that_is_wanted_again_is_kept(collection: AsyncCollection[Document]) -> None:
    await collection.create_indexes([IndexModel([("at", 1)], name="retired")])

    await ensure(collection, [BY_AGE], retired=["retired"])

    assert await indexes(collection) == {"retired": "at"}


async def test_several_processes_that_start_at_once_agree(collection: AsyncCollection[Document]) -> None:
    await collection.create_indexes([IndexModel([("status", 1)], name="by_age")])

    await asyncio.gather(*(ensure(collection, [BY_AGE, ONCE]) for _ in range(4)))

    assert await indexes(collection) == {"by_age": "at", "once": "owner,number unique=True"}


@pytest.mark.parametrize(
    ("code", "name"), [(85, "IndexOptionsConflict"), (86, "IndexKeySpecsConflict"), (276, "IndexBuildAborted")]
)
async def test_another_process_that_is_quicker_is_no_error(
    faults: FaultProxy, collection: AsyncCollection[Document], code: int, name: str
) -> None:
    async with AsyncMongoClient[Document](faults.uri) as client:
        through = client[collection.database.name]["things"]
        with faults.fault(Fault("createIndexes", times=1, error=Error(code, name))):
            await ensure(through, [BY_AGE])

    assert await indexes(collection) == {"by_age": "at"}


async def test_a_server_that_takes_no_second_index_of_these_keys_gets_the_new_one_in_place_of_the_old(
    faults: FaultProxy, collection: AsyncCollection[Document]
) -> None:
    """MongoDB before 5.0 refuses a unique index beside one of the same keys that is not."""
    await collection.create_indexes([IndexModel([("owner", 1), ("number", 1)], name="of_owner")])
    async with AsyncMongoClient[Document](faults.uri) as client:
        through = client[collection.database.name]["things"]
        with faults.fault(Fault("createIndexes", times=1, error=Error(85, "IndexOptionsConflict"))):
            await ensure(through, [ONCE])

    assert await indexes(collection) == {"once": "owner,number unique=True"}
