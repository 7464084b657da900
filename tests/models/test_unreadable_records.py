"""Documents of another version: what decides must know of them, what lists goes on without them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from odmantic import Field, Model

from errors import UnreadableRecordError
from models.change_feed import ChangeFeed
from models.database import Database
from models.unreadable import Unreadable, collect_unreadable


class Coin(Model):
    id: str = Field(primary_field=True)
    user_id: str = "ann"
    value: int = 0


STRANGE = Unreadable("Coin", "b", "this version cannot read value")


@pytest.fixture
def counted() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def coins(mongodb_uri: str, db: Database, counted: list[tuple[str, str]]) -> AsyncIterator[Database]:
    """Three coins, of which another version wrote the second."""
    database = Database(mongodb_uri, db.name, failed=lambda kind, name: counted.append((kind, name)))
    await database.insert_many([Coin(id=id_) for id_ in "abc"])
    await database.update_many(Coin, {"_id": "b"}, {"$set": {"value": "two"}})
    yield database
    await database.close()


async def test_a_list_goes_on_without_it_and_notices_it(coins: Database, counted: list[tuple[str, str]]) -> None:
    with collect_unreadable() as noticed:
        read, unreadable = await coins.find_readable(Coin, {}, sort=[("_id", 1)])

    assert [coin.id for coin in read] == ["a", "c"]
    assert (unreadable, noticed) == ([STRANGE], [STRANGE])
    assert counted == [("UNREADABLE", "Coin")]


async def test_a_decision_does_not_go_on_without_it(coins: Database) -> None:
    with pytest.raises(UnreadableRecordError):
        await coins.find(Coin, {})
    with pytest.raises(UnreadableRecordError) as alone:
        await coins.get(Coin, "b")
    with pytest.raises(UnreadableRecordError):
        await coins.update(Coin, {"_id": "b"}, {"$set": {"user_id": "bob"}})

    assert (alone.value.message, alone.value.user_id) == (STRANGE.reason, "ann")


async def test_of_several_by_their_ids_it_alone_is_an_error(coins: Database) -> None:
    read = await coins.read_many(Coin, ["a", "b", "nothing"])

    assert {key: type(value) for key, value in read.items()} == {"a": Coin, "b": UnreadableRecordError}


async def test_a_change_of_it_sends_those_who_listen_to_the_record(coins: Database) -> None:
    feed = ChangeFeed(coins, Coin, "_id")

    async with feed.listen("b") as live:
        await coins.update_many(Coin, {"_id": "b"}, {"$set": {"value": "three"}})
        told = await live.next()
    await feed.close()

    assert told is None
