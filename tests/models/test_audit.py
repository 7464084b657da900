from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from odmantic import Field, Model

from errors import ConflictError, ForbiddenError, InvalidStateError, NotFoundError, ProviderBusyError
from models.audit import AuditEntry, Outcome, audit_span, find_entries, new_entry, write_entry, write_with
from models.database import Database
from models.roles import Role
from tests.fault_proxy import Fault, FaultProxy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Limit(Model):
    id: str = Field(primary_field=True)
    usd: int


def entry(action: str = "stopVm", subject_id: str | None = "vm-1", at: datetime = NOON) -> AuditEntry:
    return new_entry("alice", Role.PLAYER, action, Outcome.DONE, subject_id=subject_id, at=at)


async def the_entry(db: Database) -> AuditEntry:
    [only] = await find_entries(db)
    return only


async def test_an_entry_is_read_back_as_it_was_written(db: Database) -> None:
    written = new_entry("alice", Role.PLAYER, "stopVm", Outcome.DENIED, subject_id="vm-1", detail="not hers", at=NOON)

    await write_entry(db, written)

    assert await the_entry(db) == written


async def test_a_subjects_entries_come_newest_first_and_page_without_gap_or_double(db: Database) -> None:
    written = [entry(f"a{n}", "vm-1" if n % 3 else "vm-2", NOON + timedelta(microseconds=n * 400)) for n in range(30)]
    for each in written:
        await write_entry(db, each)
    expected = [each.action for each in reversed(written) if each.subject_id == "vm-1"]

    paged: list[AuditEntry] = []
    while page := await find_entries(db, subject_id="vm-1", after=paged[-1].id if paged else None, limit=7):
        paged += page

    assert [each.action for each in paged] == expected


async def test_all_subjects_together_come_newest_first_too(db: Database) -> None:
    for n in range(5):
        await write_entry(db, entry(f"a{n}", f"vm-{n}", NOON + timedelta(seconds=n)))

    first = await find_entries(db, limit=2)
    rest = await find_entries(db, after=first[-1].id, limit=10)

    assert [each.action for each in first + rest] == ["a4", "a3", "a2", "a1", "a0"]


async def test_entries_of_one_moment_have_an_order(db: Database) -> None:
    for n in range(10):
        await write_entry(db, entry(f"a{n}"))

    first = await find_entries(db, limit=4)
    rest = await find_entries(db, after=first[-1].id, limit=10)

    assert sorted(each.action for each in first + rest) == sorted(f"a{n}" for n in range(10))


@pytest.mark.parametrize("after", ["", "1", "$gt", "9" * 24, "a" * 23, '{"$gt": ""}', "٣" * 23])
async def test_a_cursor_that_can_be_none_finds_nothing(db: Database, after: str) -> None:
    await write_entry(db, entry())

    assert await find_entries(db, after=after) == []


async def test_foreign_text_stays_one_short_line(db: Database) -> None:
    detail = "x\r\n2026-01-01 root DONE\u2028\x0b" + "y" * 500

    await write_entry(db, new_entry("alice", Role.PLAYER, "stopVm", Outcome.FAILED, detail=detail))

    assert (await the_entry(db)).detail == ("x 2026-01-01 root DONE " + "y" * 500)[:256]


class TestWrittenWithTheChange:
    async def test_both_are_there_afterwards(self, db: Database) -> None:
        limit = Limit(id="alice", usd=5)

        await write_with(db, lambda: db.insert(limit), lambda _: entry("setSpendingLimit"))

        assert await db.get(Limit, "alice") == limit
        assert (await the_entry(db)).action == "setSpendingLimit"

    async def test_a_change_that_fails_leaves_no_entry(self, db: Database) -> None:
        await db.insert(Limit(id="alice", usd=5))

        with pytest.raises(ConflictError):
            await write_with(db, lambda: db.insert(Limit(id="alice", usd=9)), lambda _: entry())

        assert await find_entries(db) == []

    async def test_an_entry_that_cannot_be_written_undoes_the_change(self, db: Database) -> None:
        taken = entry()
        await write_entry(db, taken)

        with pytest.raises(ConflictError):
            await write_with(db, lambda: db.insert(Limit(id="alice", usd=5)), lambda _: taken)

        assert await db.get(Limit, "alice") is None

    async def test_the_entry_knows_what_the_change_came_to(self, db: Database) -> None:
        await db.insert(Limit(id="alice", usd=5))

        async def raise_it() -> Limit:
            raised = await db.update(Limit, {"_id": "alice"}, {"$inc": {"usd": 3}})
            assert raised is not None
            return raised

        await write_with(
            db,
            raise_it,
            lambda limit: new_entry("root", Role.OPERATOR, "raise", Outcome.DONE, detail=f"{limit.usd} USD"),
        )

        assert (await the_entry(db)).detail == "8 USD"


class TestAccounted:
    async def test_the_entry_stands_before_the_body_runs(self, db: Database) -> None:
        async with audit_span(db, entry()):
            during = await the_entry(db)
        after = await the_entry(db)

        assert (during.outcome, after.outcome) == (Outcome.REQUESTED, Outcome.DONE)

    async def test_what_is_learned_on_the_way_is_told(self, db: Database) -> None:
        async with audit_span(db, entry("launchGame", None)) as account:
            account.subject_id = "launch-7"
            account.detail = "SWITCH"

        told = await the_entry(db)
        assert (told.subject_id, told.detail) == ("launch-7", "SWITCH")

    @pytest.mark.parametrize(
        ("error", "outcome", "detail"),
        [
            (InvalidStateError("not while it stops", "STOPPING"), Outcome.REFUSED, "not while it stops"),
            (NotFoundError("no such VM"), Outcome.REFUSED, "no such VM"),
            (ForbiddenError("not this role"), Outcome.DENIED, "not this role"),
            (ProviderBusyError("no answer"), Outcome.FAILED, "no answer"),
            (KeyError("secret-in-a-key"), Outcome.FAILED, "KeyError"),
        ],
    )
    async def test_an_error_is_its_end(self, db: Database, error: Exception, outcome: Outcome, detail: str) -> None:
        with pytest.raises(type(error)):
            async with audit_span(db, entry()):
                raise error

        told = await the_entry(db)
        assert (told.outcome, told.detail) == (outcome, detail)

    async def test_who_is_cut_off_leaves_it_open(self, db: Database) -> None:
        with pytest.raises(asyncio.CancelledError):
            async with audit_span(db, entry()):
                raise asyncio.CancelledError

        assert (await the_entry(db)).outcome is Outcome.REQUESTED


async def test_an_entry_whose_answer_was_lost_is_there_once_and_holds_up_nothing(
    db: Database, faulty_db: Database, faults: FaultProxy
) -> None:
    await db.ensure_indexes([AuditEntry])
    faults.add(Fault("insert", collections=["audit_entries"], times=1, lose_answer=True))

    async with audit_span(faulty_db, new_entry("ann", Role.PLAYER, "stopVm", Outcome.REQUESTED)):
        pass

    assert [entry.outcome for entry in await db.find(AuditEntry, {})] == [Outcome.DONE]
