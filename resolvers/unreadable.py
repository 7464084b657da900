"""Records that this version cannot read, as callers see them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from errors import UnreadableRecordError
from resolvers.context import Context

T = TypeVar("T")


async def own_or_none(context: Context, loading: Awaitable[T | None]) -> T | None:
    """Return what is loaded. Raises UnreadableRecordError to those who may see the record alone: for all others it is
    not there."""
    try:
        return await loading
    except UnreadableRecordError as error:
        if context.caller.can_act_for(error.user_id or ""):
            raise
        return None
