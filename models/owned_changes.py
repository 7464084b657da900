"""Follows every change to a collection of records that belong to users: past changes after a moment, then live ones.

A change is the record as it is now, so a reader may receive one twice and applies it again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from models.change_feed import ChangeFeed
from models.database import ASCENDING, Database, Document
from models.launches import Launch
from models.vms import Vm

R = TypeVar("R", bound=Vm | Launch)

_EVERY: Final = "every"
_PAGE: Final = 500
# Writes may become visible later than their time says: clocks differ, and transactions take seconds.
_OVERLAP: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """One record as it is now, or None when the following begins. Following from `at` on misses nothing.

    `number` names a live change for all followers of the process; past changes have none.
    """

    at: datetime
    record: R | None = None
    number: int | None = None


def keys_of(raw: Mapping[str, Any]) -> Iterator[str]:
    """Return the keys of a record: its own id, its user's, and the key of all records."""
    yield raw["_id"]
    yield f"user {raw.get('user_id')}"
    yield _EVERY


class OwnedChanges(Generic[R]):
    """Follows one collection through a feed whose keys are those of `keys_of`."""

    def __init__(self, db: Database, model: type[R], feed: ChangeFeed[R]) -> None:
        self._db = db
        self._model = model
        self._feed = feed

    async def follow(self, user_id: str | None, after: datetime | None) -> AsyncGenerator[Change[R], None]:
        """Yield a change without a record once no later change can be missed, then all changes, without an end.

        `user_id` limits them to one user's records. With `after`, changes since then come first. Records that this
        version cannot read are left out. Close the generator when done.
        """
        key = _EVERY if user_id is None else f"user {user_id}"
        async with self._feed.listen(key, skips_unreadable=True) as live:
            reached = after or datetime.now(UTC)
            yield Change(reached)
            if after is not None:
                async for record in self._since(user_id, after):
                    reached = max(reached, record.changed_at or reached)
                    yield Change(reached, record)
            while True:
                found = await live.next()
                if found is not None:
                    reached = max(reached, found.changed_at or reached)
                    # An earlier build wrote it if it has no time of its own.
                    number = None if found.changed_at is None else live.number
                    yield Change(found.changed_at or reached, found, number)
                    continue
                async for record in self._since(user_id, reached):
                    reached = max(reached, record.changed_at or reached)
                    yield Change(reached, record)

    async def _since(self, user_id: str | None, moment: datetime) -> AsyncGenerator[R, None]:
        """Yield the records that were written after the moment, oldest first, page by page."""
        owner: Document = {} if user_id is None else {"user_id": user_id}
        order = [("changed_at", ASCENDING), ("_id", ASCENDING)]
        at, last_id = moment - _OVERLAP, ""
        while True:
            page, unreadable = await self._page(owner, at, last_id, order)
            for record in page:
                yield record
            if len(page) + unreadable < _PAGE or not page or page[-1].changed_at is None:
                return
            at, last_id = page[-1].changed_at, page[-1].id

    async def _page(
        self, owner: Document, at: datetime, last_id: str, order: list[tuple[str, int]]
    ) -> tuple[list[R], int]:
        """Return the next records in this order, and how many of the page cannot be read."""
        same, bad = await self._db.find_readable(
            self._model, {**owner, "changed_at": at, "_id": {"$gt": last_id}}, order, _PAGE
        )
        room = _PAGE - len(same) - len(bad)
        if room <= 0:
            return same, len(bad)
        later, more = await self._db.find_readable(self._model, {**owner, "changed_at": {"$gt": at}}, order, room)
        return [*same, *later], len(bad) + len(more)
