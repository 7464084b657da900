"""Authorizes mutations, and records in the audit log what they change and what was refused."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from auth.authorization import require
from errors import RefusedError
from models.audit import AuditEntry, AuditSpan, Outcome, audit_span, new_entry, write_entry
from models.database import best_effort
from resolvers.context import Context


async def authorize(context: Context, field: str) -> None:
    """Raise ForbiddenError if the caller's role may not use this mutation."""
    require(context.caller, f"Mutation.{field}")


async def audit_denied(context: Context, field: str) -> None:
    """Record a request that the caller's role does not allow. A failed write must not change the response."""
    with best_effort():
        await write_entry(context.services.db, _entry(context, field, None, Outcome.DENIED))


async def audit_refused(context: Context, field: str, subject_id: str | None, refusal: RefusedError) -> None:
    """Record a request that was refused before any change began. A failed write must not change the response."""
    entry = _entry(context, field, subject_id, Outcome.REFUSED, refusal.message)
    with best_effort():
        await write_entry(context.services.db, entry)


def audited(context: Context, field: str, subject_id: str | None = None) -> AbstractAsyncContextManager[AuditSpan]:
    """Record a change that Temporal or a cloud makes in the body: before it begins, and with its outcome."""
    context.audit_spans += 1
    return audit_span(context.services.db, _entry(context, field, subject_id, Outcome.REQUESTED))


def _entry(
    context: Context, field: str, subject_id: str | None, outcome: Outcome, detail: str | None = None
) -> AuditEntry:
    return new_entry(context.caller.id, context.caller.role, field, outcome, subject_id=subject_id, detail=detail)
