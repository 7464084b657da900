"""The audit log: who changed what, and how it ended. An entry with a final outcome never changes."""

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
    REQUESTED = "REQUESTED"  # handed on; it stays so if no process lived to record the end
    DONE = "DONE"
    REFUSED = "REFUSED"  # rejected for a reason that the caller can act on
    DENIED = "DENIED"  # the caller lacks permission
    FAILED = "FAILED"


class AuditEntry(Model):
    """One entry. Ids grow with time, so that one index returns a subject's entries in order."""

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
    """Return an entry that is not written yet. `action` is the contract's name if it has one (`launchGame`)."""
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


def service_entry(part: str, action: str, subject_id: str, detail: str) -> AuditEntry:
    """Return an entry for an action that a part of the service takes by itself. No caller can have its name."""
    return new_entry(f"gamer:{part}", Role.SERVICE, action, Outcome.DONE, subject_id=subject_id, detail=detail)


async def write_entry(db: Database, entry: AuditEntry) -> None:
    """Write the entry of an action that changes nothing, like a denied request. Takes part in a transaction."""
    # The id is new, so a conflict means that this entry was written before and the response was lost.
    with suppress(ConflictError):
        await db.insert(entry)


async def write_with(db: Database, change: Callable[[], Awaitable[T]], entry: Callable[[T], AuditEntry]) -> T:
    """Write a change of our database and its entry together: neither exists without the other.

    `change` may run several times, as in `Database.transaction`.
    """

    async def both() -> T:
        changed = await change()
        await db.insert(entry(changed))
        return changed

    return await db.transaction(both)


class AuditSpan:
    """An entry without an outcome yet. Set here what becomes known on the way."""

    def __init__(self, entry: AuditEntry) -> None:
        self.subject_id = entry.subject_id
        self.detail = entry.detail


@asynccontextmanager
async def audit_span(db: Database, entry: AuditEntry) -> AsyncIterator[AuditSpan]:
    """Record a change that Temporal or a cloud makes, which no transaction of ours can include.

    The entry exists as REQUESTED before the body runs, and gets its outcome afterwards. If the process ends in between,
    it stays REQUESTED, which is all that is known.
    """
    await write_entry(db, entry.model_copy(update={"outcome": Outcome.REQUESTED}))
    account = AuditSpan(entry)
    try:
        yield account
    except Exception as error:
        await _close(db, entry.id, account, _outcome(error), _reason(error))
        raise
    await _close(db, entry.id, account, Outcome.DONE, None)


async def find_entries(
    db: Database, *, subject_id: str | None = None, after: str | None = None, limit: int = 50
) -> list[AuditEntry]:
    """Return entries, newest first, older than the entry with the id `after`.

    A malformed id finds nothing.
    """
    query: Document = {} if subject_id is None else {"subject_id": subject_id}
    if after is not None:
        if not is_entry_id(after):
            return []
        query["_id"] = {"$lt": after}
    found, _ = await db.find_readable(AuditEntry, query, sort=[("_id", DESCENDING)], limit=limit)
    return found


def entries_since(at: datetime) -> Document:
    """Return the query for entries written since a moment."""
    return {"_id": {"$gte": _microseconds(at)}}


def is_entry_id(text: str) -> bool:
    """Return whether the text has the form of an entry's id."""
    return _ENTRY_ID.fullmatch(text) is not None


async def _close(db: Database, entry_id: str, account: AuditSpan, outcome: Outcome, reason: str | None) -> None:
    changes = {
        "outcome": outcome,
        "subject_id": account.subject_id,
        "detail": _one_line(account.detail if reason is None else reason),
    }
    # The change is made; a failure to record its end must not turn it into a failure.
    with suppress(UnavailableError):
        await db.update(AuditEntry, {"_id": entry_id, "outcome": Outcome.REQUESTED}, {"$set": changes})


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, ForbiddenError):
        return Outcome.DENIED
    return Outcome.REFUSED if isinstance(error, RefusedError) else Outcome.FAILED


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, GatewayError) else type(error).__name__


def _id_at(at: datetime) -> str:
    """Return microseconds since 1970 in 17 digits, followed by 6 random digits."""
    return f"{_microseconds(at)}{secrets.randbelow(1_000_000):06d}"


def _microseconds(at: datetime) -> str:
    return f"{int(at.timestamp() * 1_000_000):017d}"


def _one_line(text: str | None) -> str | None:
    """Reduce foreign text to one line, so that it cannot look like further lines of the log."""
    return None if text is None else " ".join(text.split())[:_DETAIL_LIMIT]
