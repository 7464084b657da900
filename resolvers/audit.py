"""The door of every mutation, and the trail of what is done and denied there."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from auth.authorization import require
from errors import RefusedError
from models.audit import AuditEntry, AuditSpan, Outcome, audit_span, new_entry, write_entry
from models.database import best_effort
from resolvers.context import Context


async def authorize(context: Context, field: str) -> None:
    """Raises ForbiddenError when the caller's role may not use this mutation."""
    require(context.caller, f"Mutation.{field}")


async def audit_denied(context: Context, field: str) -> None:
    """Somebody asked for what it may not. That it cannot be noted must not change the answer."""
    with best_effort():
        await write_entry(context.services.db, _entry(context, field, None, Outcome.DENIED))


async def audit_refused(context: Context, field: str, subject_id: str | None, refusal: RefusedError) -> None:
    """Somebody was told no before anything began: asked for what is not its own, or is nobody's. As for `denied`."""
    entry = _entry(context, field, subject_id, Outcome.REFUSED, refusal.message)
    with best_effort():
        await write_entry(context.services.db, entry)


def audited(context: Context, field: str, subject_id: str | None = None) -> AbstractAsyncContextManager[AuditSpan]:
    """The body is the change that the engine or a cloud makes: on the trail before it begins, and how it ended."""
    context.accounts += 1
    return audit_span(context.services.db, _entry(context, field, subject_id, Outcome.REQUESTED))


def _entry(
    context: Context, field: str, subject_id: str | None, outcome: Outcome, detail: str | None = None
) -> AuditEntry:
    return new_entry(context.caller.id, context.caller.role, field, outcome, subject_id=subject_id, detail=detail)
