"""Hides records that this version cannot read from callers that may not see them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Protocol, TypeVar

from errors import UnreadableRecordError
from resolvers.context import Context

T = TypeVar("T")
R = TypeVar("R", bound="Owned")


class Owned(Protocol):
    """A record of one user."""

    @property
    def user_id(self) -> str: ...


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


def own_of(context: Context, loaded: Mapping[str, R | Exception | None]) -> dict[str, R | Exception]:
    """Return those of the records that the caller may see, and the errors that it may know of, by their ids."""
    own: dict[str, R | Exception] = {}
    for key, found in loaded.items():
        owner = (found.user_id or "") if isinstance(found, UnreadableRecordError) else getattr(found, "user_id", None)
        of_no_record = isinstance(found, Exception) and owner is None
        if found is not None and (of_no_record or context.caller.can_act_for(str(owner))):
            own[key] = found
    return own
