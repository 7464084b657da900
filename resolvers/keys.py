"""API keys and the audit log, for operators."""

from __future__ import annotations

from datetime import datetime

from auth.api_keys import NewApiKey
from auth.authorization import require
from auth.callers import Role
from errors import InvalidInputError, NotFoundError
from models.api_keys import ApiKey
from models.audit import AuditEntry, find_entries, is_entry_id
from models.pages import Mark, find_newest_first
from resolvers.audit import authorize
from resolvers.context import Context
from resolvers.pagination import Page, cursor, page_from, page_size, read_cursor, read_mark

_AUDIT = "audit"
_KEYS = "apiKeys"


async def create(context: Context, name: str, role: Role, expires_at: datetime | None) -> NewApiKey:
    """Create a key. Its secret is only in this response and cannot be read again."""
    await authorize(context, "createApiKey")
    return await context.services.api_keys.create(context.caller, name, role, expires_at)


async def revoke(context: Context, key_id: str | None) -> ApiKey:
    """Revoke a key. Raise NotFoundError if there is none with this id."""
    await authorize(context, "revokeApiKey")
    if key_id is None:
        raise NotFoundError("there is no API key with this id", ("apiKeyId",))
    return await context.services.api_keys.revoke(context.caller, key_id)


async def api_keys(context: Context, first: int | None, after: str | None) -> Page[ApiKey]:
    """Return all keys, newest first, with those that were revoked or have expired."""
    require(context.caller, "Query.apiKeys")
    size, mark = page_size(first), read_mark(_KEYS, after)
    found = await find_newest_first(context.services.db, ApiKey, {}, "created_at", mark, size + 1)
    return page_from(found, _mark, _KEYS, size, has_previous=mark is not None)


async def api_key_of(context: Context, key: str) -> ApiKey | None:
    """Return an API key by its own id, or None."""
    require(context.caller, "ApiKey")
    return await context.services.api_keys.find(key)


async def audit_entry_of(context: Context, key: str) -> AuditEntry | None:
    """Return an audit log entry by its own id, or None."""
    require(context.caller, "AuditEntry")
    return await context.services.db.get(AuditEntry, key) if is_entry_id(key) else None


async def audit_log(context: Context, subject_id: str | None, first: int | None, after: str | None) -> Page[AuditEntry]:
    """Return entries, newest first; `subject_id` is a record's own id."""
    require(context.caller, "Query.auditLog")
    size = page_size(first)
    mark = None if after is None else read_cursor(_AUDIT, after)
    if mark is not None and not is_entry_id(mark):
        raise InvalidInputError("after is not a cursor of this list", ("after",))
    found = await find_entries(context.services.db, subject_id=subject_id, after=mark, limit=size + 1)
    shown = found[:size]
    return Page(shown, [cursor(_AUDIT, entry.id) for entry in shown], len(found) > size, mark is not None)


def _mark(key: ApiKey) -> Mark:
    return Mark(key.created_at, key.id)
