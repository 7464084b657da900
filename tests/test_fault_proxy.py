"""The proxy does to chosen commands what a test chose, and nothing to all others."""

from __future__ import annotations

import asyncio

import pytest
from odmantic import Field, Model

from errors import DatabaseFaultError, UnavailableError
from models.database import Database
from tests.fault_proxy import Error, Fault, FaultProxy


class Coin(Model):
    id: str = Field(primary_field=True)
    value: int = 0


async def test_without_faults_everything_passes(faults: FaultProxy, faulty_db: Database, db: Database) -> None:
    await faulty_db.insert(Coin(id="a", value=1))

    assert [coin.value for coin in await db.find(Coin, {})] == [1]
    assert ("insert", "coin") in [(command.name, command.collection) for command in faults.commands]


async def test_a_chosen_command_on_a_chosen_collection_is_refused_with_the_chosen_error(
    faults: FaultProxy, faulty_db: Database, db: Database
) -> None:
    fault = Fault("insert", collections=["coin"], error=Error(2, "BadValue"))

    with faults.fault(fault), pytest.raises(DatabaseFaultError) as refused:
        await faulty_db.insert(Coin(id="a"))
    await faulty_db.insert(Coin(id="b"))

    assert (str(refused.value), fault.met) == ("the database rejected a command: OperationFailure", 1)
    assert [coin.id for coin in await db.find(Coin, {})] == ["b"]


async def test_only_the_chosen_occurrence_is_met(faults: FaultProxy, faulty_db: Database, db: Database) -> None:
    faults.add(Fault("insert", skip=1, times=1, error=Error(2, "BadValue")))

    await faulty_db.insert(Coin(id="a"))
    with pytest.raises(DatabaseFaultError):
        await faulty_db.insert(Coin(id="b"))
    await faulty_db.insert(Coin(id="c"))

    assert sorted(coin.id for coin in await db.find(Coin, {})) == ["a", "c"]


async def test_a_write_concern_error_comes_although_the_write_was_made(
    faults: FaultProxy, faulty_db: Database, db: Database
) -> None:
    faults.add(Fault("insert", error=Error(2, "BadValue", write_concern=True)))

    with pytest.raises(DatabaseFaultError):
        await faulty_db.insert(Coin(id="a"))

    assert await db.count(Coin, {}) == 1


async def test_a_lost_answer_leaves_the_write_made(faults: FaultProxy, faulty_db: Database, db: Database) -> None:
    await faulty_db.insert(Coin(id="a"))
    fault = faults.add(Fault("findAndModify", times=1, lose_answer=True))

    await faulty_db.update(Coin, {"_id": "a"}, {"$set": {"value": 7}})

    numbers = [command.body["txnNumber"] for command in faults.commands if command.name == "findAndModify"]
    assert fault.met == 1
    assert numbers == [numbers[0]] * 2  # the driver sent the same write again
    assert [coin.value for coin in await db.find(Coin, {})] == [7]


async def test_a_reset_connection_is_opened_again(faults: FaultProxy, faulty_db: Database, db: Database) -> None:
    faults.add(Fault("insert", times=1, reset=True))

    await faulty_db.insert(Coin(id="a"))

    assert await db.count(Coin, {}) == 1
    assert [command.name for command in faults.commands].count("insert") == 2


async def test_silence_lasts_until_the_caller_gives_up(
    faults: FaultProxy, faulty_db: Database, forgotten_sockets: None
) -> None:
    faults.add(Fault("find", silent=True))

    with pytest.raises(UnavailableError, match="does not respond"):
        await faulty_db.find(Coin, {})


async def test_a_delay_passes_the_command_on_afterwards(faults: FaultProxy, faulty_db: Database, db: Database) -> None:
    fault = faults.add(Fault("insert", delay_s=0.2))
    inserting = asyncio.create_task(faulty_db.insert(Coin(id="a")))
    await fault.reached.wait()

    before = await db.count(Coin, {})
    await inserting

    assert (before, await db.count(Coin, {})) == (0, 1)
