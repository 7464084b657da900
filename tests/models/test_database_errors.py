"""What an error of the server's means: what passes, what an operator must end, what is a fault of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from odmantic import Field, Model

from errors import ConflictError, DatabaseFaultError, UnavailableError
from models.database import Database
from models.database_errors import TABLE, ErrorKind
from tests.fault_proxy import Error, Fault, FaultProxy


class Coin(Model):
    id: str = Field(primary_field=True)
    value: int = 0


PASSING = [
    *(6, 7, 50, 64, 89, 91, 100, 112, 134, 189, 216, 251, 262, 290, 365, 433, 462),
    *(9001, 10107, 11600, 11602, 13435, 13436),
]
FOR_AN_OPERATOR = [1, 8, 11, 13, 18, 371, 391, 8000, 14031]


CALLS: dict[str, Callable[[Database], Awaitable[object]]] = {
    "find": lambda db: db.get(Coin, "a"),
    "insert": lambda db: db.insert(Coin(id="a")),
    "findAndModify": lambda db: db.update(Coin, {"_id": "a"}, {"$set": {"value": 1}}),
}


@pytest.mark.parametrize("command", CALLS)
async def test_what_is_not_our_fault_is_unavailability(
    faults: FaultProxy, faulty_db: Database, command: str, forgotten_sockets: None
) -> None:
    for code in [*PASSING, *FOR_AN_OPERATOR]:
        with faults.fault(Fault(command, error=Error(code, TABLE[code][0]))), pytest.raises(UnavailableError):
            await CALLS[command](faulty_db)


@pytest.mark.parametrize("code", PASSING)
def test_these_pass_by_themselves(code: int) -> None:
    assert TABLE[code][1] is ErrorKind.TRANSIENT


@pytest.mark.parametrize("code", FOR_AN_OPERATOR)
def test_these_need_an_operator(code: int) -> None:
    assert TABLE[code][1] is ErrorKind.OPERATOR


async def test_a_write_whose_durability_fails_is_unavailability(
    faults: FaultProxy, faulty_db: Database, forgotten_sockets: None
) -> None:
    for code in (13, 64, 91, 100, 14031):
        fault = Fault("findAndModify", error=Error(code, TABLE[code][0], write_concern=True))
        with faults.fault(fault), pytest.raises(UnavailableError):
            await CALLS["findAndModify"](faulty_db)


@pytest.mark.parametrize("label", ["RetryableWriteError", "SystemOverloadedError"])
async def test_an_unknown_code_with_a_label_of_what_passes_is_unavailability(
    faults: FaultProxy, faulty_db: Database, label: str, forgotten_sockets: None
) -> None:
    faults.add(Fault("insert", error=Error(777_777, "FromAVersionToCome", [label])))

    with pytest.raises(UnavailableError):
        await faulty_db.insert(Coin(id="a"))


async def test_a_wrong_command_and_an_unknown_code_are_faults_of_ours(faults: FaultProxy, faulty_db: Database) -> None:
    for code in (2, 9, 14, 52, 121, 777_777):
        with faults.fault(Fault("insert", error=Error(code, "Whatever"))), pytest.raises(DatabaseFaultError):
            await CALLS["insert"](faulty_db)


async def test_a_taken_key_is_a_conflict_and_among_several_a_harder_error_counts(
    faults: FaultProxy, faulty_db: Database
) -> None:
    await faulty_db.insert(Coin(id="a"))

    with pytest.raises(ConflictError):
        await faulty_db.insert_many([Coin(id="a")])
    faults.add(Fault("insert", error=Error(14031, "OutOfDiskSpace", write_concern=True)))
    with pytest.raises(UnavailableError):
        await faulty_db.insert_many([Coin(id="b"), Coin(id="a")])


async def test_a_conflict_within_a_transaction_has_the_driver_run_it_again(
    faults: FaultProxy, faulty_db: Database, db: Database
) -> None:
    await db.insert(Coin(id="a"))
    conflict = Fault("findAndModify", error=Error(112, "WriteConflict", ["TransientTransactionError"]), times=2)
    faults.add(conflict)

    await faulty_db.transaction(lambda: faulty_db.update(Coin, {"_id": "a"}, {"$inc": {"value": 1}}))

    coin = await db.get(Coin, "a")
    assert coin is not None
    assert (conflict.met, coin.value) == (2, 1)


async def test_every_error_is_counted_by_kind_and_name_and_the_log_names_no_credential(
    faults: FaultProxy, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[tuple[str, str]] = []
    watched = Database(faults.uri, db.name, failed=lambda kind, name: counted.append((kind, name)))
    faults.add(Fault("find", error=Error(8000, "AtlasError", message="bad auth: user alice, password hunter2")))

    for _ in range(2):
        with pytest.raises(UnavailableError) as refused:
            await watched.get(Coin, "a")
    await watched.close()

    assert counted == [("OPERATOR", "AtlasError")] * 2
    logged = [record for record in caplog.records if record.name == "models.translation"]
    assert [(record.levelname, vars(record)["error"]) for record in logged] == [("ERROR", "AtlasError")]
    assert "hunter2" not in caplog.text + str(refused.value)
