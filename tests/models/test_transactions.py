from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from functools import partial

import pytest
from odmantic import Field, Model

from errors import ConflictError, UnavailableError
from models.database import Database


class Account(Model):
    id: str = Field(primary_field=True)
    coins: int = 0


class Receipt(Model):
    id: str = Field(primary_field=True)
    account: str
    at: datetime


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def pay(db: Database, receipt: str) -> None:
    """Reads, then writes what it read plus one: two of these at once lose a coin unless they are kept apart."""
    account = await db.get(Account, "alice")
    assert account is not None
    await db.update(Account, {"_id": "alice"}, {"$set": {"coins": account.coins + 1}})
    await db.insert(Receipt(id=receipt, account="alice", at=NOON))


async def coins_and_receipts(db: Database) -> tuple[int, int]:
    account = await db.get(Account, "alice")
    assert account is not None
    return account.coins, await db.count(Receipt, {})


async def test_all_writes_of_a_transaction_are_there_when_it_returns(db: Database) -> None:
    await db.insert(Account(id="alice"))

    await db.transaction(lambda: pay(db, "r1"))

    assert await coins_and_receipts(db) == (1, 1)


async def test_a_transaction_that_raises_leaves_nothing(db: Database) -> None:
    await db.insert(Account(id="alice"))

    async def pay_and_fail() -> None:
        await pay(db, "r1")
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await db.transaction(pay_and_fail)

    assert await coins_and_receipts(db) == (0, 0)


async def test_a_taken_key_undoes_the_writes_before_it(db: Database) -> None:
    await db.insert(Account(id="alice"))
    await db.insert(Receipt(id="r1", account="alice", at=NOON))

    with pytest.raises(ConflictError):
        await db.transaction(lambda: pay(db, "r1"))

    assert await coins_and_receipts(db) == (0, 1)


async def test_transactions_on_one_document_do_not_lose_each_others_writes(db: Database) -> None:
    await db.insert(Account(id="alice"))
    await db.insert(Receipt(id="before", account="alice", at=NOON))

    await asyncio.gather(*(db.transaction(partial(pay, db, f"r{n}")) for n in range(8)))

    assert await coins_and_receipts(db) == (8, 9)


async def test_a_transaction_within_another_is_part_of_it(db: Database) -> None:
    await db.insert(Account(id="alice"))

    async def outer() -> None:
        await db.transaction(lambda: pay(db, "r1"))
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await db.transaction(outer)

    assert await coins_and_receipts(db) == (0, 0)


async def test_what_is_written_in_a_transaction_is_seen_by_others_only_when_it_is_done(db: Database) -> None:
    await db.insert(Account(id="alice"))
    written, looked = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        await db.update(Account, {"_id": "alice"}, {"$set": {"coins": 5}})
        written.set()
        await looked.wait()

    transaction = asyncio.create_task(db.transaction(slow))
    await written.wait()
    before = await db.get(Account, "alice")
    looked.set()
    await transaction
    after = await db.get(Account, "alice")

    assert before is not None
    assert after is not None
    assert (before.coins, after.coins) == (0, 5)


async def test_a_call_after_a_transaction_is_not_part_of_it(db: Database) -> None:
    await db.insert(Account(id="alice"))

    with pytest.raises(ZeroDivisionError):
        await db.transaction(fail)
    await pay(db, "r1")

    assert await coins_and_receipts(db) == (1, 1)


async def test_an_update_makes_the_document_when_there_is_none(db: Database) -> None:
    changes = {"$inc": {"coins": 2}}

    first = await db.update_or_insert(Account, {"_id": "bob"}, changes)
    second = await db.update_or_insert(Account, {"_id": "bob"}, changes)

    assert (first.coins, second.coins) == (2, 4)


async def test_a_transaction_on_a_database_that_does_not_answer_says_so_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        away = Database(f"mongodb://127.0.0.1:{mute.getsockname()[1]}", "nowhere", timeout_s=0.2)

        with pytest.raises(UnavailableError):
            await away.transaction(lambda: away.insert(Receipt(id="r", account="a", at=NOON)))

        await away.close()


async def fail() -> None:
    raise ZeroDivisionError


async def test_a_transaction_waits_until_its_collections_are_there(db: Database) -> None:
    db.prepare_first()
    await db.insert(Account(id="alice"))
    paying = asyncio.create_task(db.transaction(partial(pay, db, "r1")))
    await asyncio.sleep(0)

    before = await coins_and_receipts(db)
    await db.ensure_indexes([Account, Receipt])
    await paying

    assert before == (0, 0)
    assert await coins_and_receipts(db) == (1, 1)


async def test_a_database_that_is_never_prepared_is_unavailable(mongodb_uri: str, db: Database) -> None:
    other = Database(mongodb_uri, db.name, timeout_s=0.2)
    other.prepare_first()

    with pytest.raises(UnavailableError, match="not prepared"):
        await other.transaction(partial(pay, other, "r1"))

    assert await db.count(Receipt, {}) == 0
    await other.close()
