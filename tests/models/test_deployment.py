from __future__ import annotations

import asyncio

import pytest

from errors import UnavailableError
from models.database import Database
from models.deployment import SIMULATED, UNKNOWN, DeploymentRecord, Difference, Identity, claim
from models.vms import Vm

PRODUCTION = Identity("main", {"TENSORDOCK": "org-1", "CLOUDYPAD": "gamer-prod"})


async def recorded(db: Database) -> tuple[str, dict[str, str]]:
    (record,) = await db.find(DeploymentRecord, {})
    return record.name, record.accounts


async def test_a_database_without_a_record_is_taken_over(db: Database) -> None:
    assert await claim(db, PRODUCTION) is None

    assert await recorded(db) == ("main", {"TENSORDOCK": "org-1", "CLOUDYPAD": "gamer-prod"})


@pytest.mark.parametrize(
    ("identity", "difference"),
    [
        (Identity("staging", PRODUCTION.accounts), Difference("deployment", "main", "staging")),
        (Identity("main", {"TENSORDOCK": "org-2"}), Difference("TENSORDOCK", "org-1", "org-2")),
        (Identity("main", {"TENSORDOCK": SIMULATED}), Difference("TENSORDOCK", "org-1", SIMULATED)),
        (
            Identity("main", {"TENSORDOCK": "org-1", "CLOUDYPAD": "other-project"}),
            Difference("CLOUDYPAD", "gamer-prod", "other-project"),
        ),
    ],
)
async def test_another_deployment_and_other_accounts_are_told_and_change_nothing(
    db: Database, identity: Identity, difference: Difference
) -> None:
    await claim(db, PRODUCTION)

    assert await claim(db, identity) == difference
    assert await recorded(db) == ("main", {"TENSORDOCK": "org-1", "CLOUDYPAD": "gamer-prod"})


async def test_an_account_that_is_new_is_added_and_one_that_is_not_named_stays(db: Database) -> None:
    await claim(db, Identity("main", {"TENSORDOCK": "org-1"}))

    assert await claim(db, Identity("main", {"CLOUDYPAD": "gamer-prod"})) is None
    assert await recorded(db) == ("main", {"TENSORDOCK": "org-1", "CLOUDYPAD": "gamer-prod"})


@pytest.mark.parametrize(("first", "second"), [(UNKNOWN, "org-1"), ("org-1", UNKNOWN), (UNKNOWN, UNKNOWN)])
async def test_an_account_that_is_not_known_may_be_any_real_one_and_is_recorded_once_it_is_known(
    db: Database, first: str, second: str
) -> None:
    await claim(db, Identity("main", {"TENSORDOCK": first}))

    assert await claim(db, Identity("main", {"TENSORDOCK": second})) is None
    known = UNKNOWN if first == second else "org-1"
    assert await recorded(db) == ("main", {"TENSORDOCK": known})


@pytest.mark.parametrize(("first", "second"), [(UNKNOWN, SIMULATED), (SIMULATED, UNKNOWN)])
async def test_an_account_that_is_not_known_is_no_simulated_one(db: Database, first: str, second: str) -> None:
    await claim(db, Identity("main", {"TENSORDOCK": first}))

    difference = Difference("TENSORDOCK", first, second)
    assert await claim(db, Identity("main", {"TENSORDOCK": second})) == difference


async def test_an_adopted_database_belongs_to_who_adopted_it(db: Database) -> None:
    await claim(db, PRODUCTION)

    assert await claim(db, Identity("staging", {"TENSORDOCK": "org-2"}), adopt=True) is None
    assert await recorded(db) == ("staging", {"TENSORDOCK": "org-2", "CLOUDYPAD": "gamer-prod"})
    assert await claim(db, PRODUCTION) == Difference("deployment", "staging", "main")


async def test_of_many_that_start_at_once_one_wins_and_all_agree_on_it(db: Database) -> None:
    names = ["main", "staging"] * 10

    claims = await asyncio.gather(*(claim(db, Identity(name, {"TENSORDOCK": name})) for name in names))

    winner, accounts = await recorded(db)
    assert accounts == {"TENSORDOCK": winner}
    assert [claimed is None for claimed in claims] == [name == winner for name in names]


async def test_of_many_that_add_an_account_at_once_one_wins(db: Database) -> None:
    await claim(db, Identity("main", {}))

    accounts = [f"org-{number % 2}" for number in range(10)]
    claims = await asyncio.gather(*(claim(db, Identity("main", {"TENSORDOCK": account})) for account in accounts))

    _, known = await recorded(db)
    assert [claimed is None for claimed in claims] == [account == known["TENSORDOCK"] for account in accounts]


async def test_until_it_is_checked_a_database_shows_its_deployment_alone(db: Database) -> None:
    db.restrict_to(DeploymentRecord)

    assert await claim(db, PRODUCTION) is None
    with pytest.raises(UnavailableError, match="not been checked"):
        await db.find(Vm, {})
    with pytest.raises(UnavailableError, match="not been checked"):
        await db.ping()

    db.lift_restriction()
    assert await db.find(Vm, {}) == []
    await db.ping()
