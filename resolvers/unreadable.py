"""Hides records that this version cannot read from callers that may not see them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from errors import UnreadableRecordError
from resolvers.context import Context

T = TypeVar("T")


async def own_or_none(context: Context, loading: Awaitable[T | None]) -> T | None:
    """Return the loaded record.

    Raise UnreadableRecordError only if the caller may see the record; otherwise return None.
    """
    try:
        return await loading
    except UnreadableRecordError as error:
        if context.caller.can_act_for(error.user_id or ""):
            raise
        return None
