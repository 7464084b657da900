"""The audit trail: who did what to what, and what came of it. An entry that has an outcome is never changed again."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from odmantic import Field, Index, Model

from errors import ConflictError, ForbiddenError, GatewayError, RefusedError, UnavailableError
from models.database import DESCENDING, Database, Document
from models.roles import Role

T = TypeVar("T")
_DETAIL_LIMIT: Final = 256
_ENTRY_ID: Final = re.compile(r"[0-9]{23}", re.ASCII)


class Outcome(StrEnum):
    REQUESTED = "REQUESTED"  # handed on; if it stays so, nobody lived to say how it ended
    DONE = "DONE"
    REFUSED = "REFUSED"  # we said no, for a reason the caller can act on
    DENIED = "DENIED"  # the caller may not
    FAILED = "FAILED"


class AuditEntry(Model):
    """Ids grow with time, so that one index serves a subject's entries in order."""

    id: str = Field(primary_field=True)
    at: datetime
    actor_id: str
    actor_role: Role
    action: str
    subject_id: str | None = None
    outcome: Outcome
    detail: str | None = None

    model_config = {
        "collection": "audit_entries",
        "indexes": lambda: [Index(AuditEntry.subject_id, AuditEntry.id, name="audit_of_subject")],
    }


def new_entry(
    actor_id: str,
    actor_role: Role,
    action: str,
    outcome: Outcome,
    *,
    subject_id: str | None = None,
    detail: str | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """An entry, not yet written. `action` is the contract's word where there is one (`launchGame`)."""
    at = at or datetime.now(UTC)
    return AuditEntry(
        id=_id_at(at),
        at=at,
        actor_id=actor_id,
        actor_role=actor_role,
        action=action,
        subject_id=subject_id,
        outcome=outcome,
        detail=_one_line(detail),
    )


def by_the_service(part: str, action: str, subject_id: str, detail: str) -> AuditEntry:
    """An entry of what a part of the service does by itself. No caller can have its name."""
    return new_entry(f"gamer:{part}", Role.SERVICE, action, Outcome.DONE, subject_id=subject_id, detail=detail)


async def write_entry(db: Database, entry: AuditEntry) -> None:
    """For what changes nothing, as a denied request. Within a transaction it is part of that."""
    # The id is new: a conflict is this very entry, written before and its answer lost.
    with suppress(ConflictError):
        await db.insert(entry)


async def write_with(db: Database, change: Callable[[], Awaitable[T]], entry: Callable[[T], AuditEntry]) -> T:
    """Make a change of our own database and its entry together: neither is ever there without the other.

    `change` may be run again, as `Database.transaction` says.
    """

    async def both() -> T:
        changed = await change()
        await db.insert(entry(changed))
        return changed

    return await db.transaction(both)


class AuditSpan:
    """An entry whose end is still open. Say here what is learned on the way."""

    def __init__(self, entry: AuditEntry) -> None:
        self.subject_id = entry.subject_id
        self.detail = entry.detail


@asynccontextmanager
async def audit_span(db: Database, entry: AuditEntry) -> AsyncIterator[AuditSpan]:
    """For a change that the engine or a cloud makes, which no transaction of ours can hold.

    The entry is there before the body runs, as REQUESTED, and tells afterwards how it ended. Cut off in between, it
    stays REQUESTED: that is what is known.
    """
    await write_entry(db, entry.model_copy(update={"outcome": Outcome.REQUESTED}))
    account = AuditSpan(entry)
    try:
        yield account
    except Exception as error:
        await _close(db, entry.id, account, _outcome(error), _reason(error))
        raise
    await _close(db, entry.id, account, Outcome.DONE, None)


async def entries(
    db: Database, *, subject_id: str | None = None, after: str | None = None, limit: int = 50
) -> list[AuditEntry]:
    """The newest first; those before the entry `after`, which is an id. An id that can be none finds nothing."""
    query: Document = {} if subject_id is None else {"subject_id": subject_id}
    if after is not None:
        if not is_entry_id(after):
            return []
        query["_id"] = {"$lt": after}
    found, _ = await db.find_readable(AuditEntry, query, sort=[("_id", DESCENDING)], limit=limit)
    return found


def entries_since(at: datetime) -> Document:
    """The query for those written from a moment on."""
    return {"_id": {"$gte": _microseconds(at)}}


def is_entry_id(text: str) -> bool:
    return _ENTRY_ID.fullmatch(text) is not None


async def _close(db: Database, entry_id: str, account: AuditSpan, outcome: Outcome, reason: str | None) -> None:
    changes = {
        "outcome": outcome,
        "subject_id": account.subject_id,
        "detail": _one_line(account.detail if reason is None else reason),
    }
    # What was done is done: that its end could not be noted must not turn it into a failure.
    with suppress(UnavailableError):
        await db.update(AuditEntry, {"_id": entry_id, "outcome": Outcome.REQUESTED}, {"$set": changes})


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, ForbiddenError):
        return Outcome.DENIED
    return Outcome.REFUSED if isinstance(error, RefusedError) else Outcome.FAILED


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, GatewayError) else type(error).__name__


def _id_at(at: datetime) -> str:
    """Microseconds since 1970 in seventeen digits, then six digits of chance."""
    return f"{_microseconds(at)}{secrets.randbelow(1_000_000):06d}"


def _microseconds(at: datetime) -> str:
    return f"{int(at.timestamp() * 1_000_000):017d}"


def _one_line(text: str | None) -> str | None:
    """Foreign text must not look like further lines of the trail."""
    return None if text is None else " ".join(text.split())[:_DETAIL_LIMIT]
