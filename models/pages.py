"""Pages of documents, newest first, by keyset: a page starts after a mark, not after a number of documents.

The condition "older, or equally old with a smaller id" is split into two flat queries, because a filter with `$or` at
its top scans the collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from odmantic import Model

from models.database import DESCENDING, Database, Document

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Mark:
    """A document's position in the order: its moment and its id."""

    at: datetime
    id: str


async def find_newest_first(
    db: Database,
    model: type[M],
    query: Document,
    moment: str,
    after: Mark | None,
    limit: int,
    columns: frozenset[str] | None = None,
) -> list[M]:
    """Return at most `limit` matching documents, ordered by the field `moment` and the id, both descending.

    With `columns`, return rows with these columns, as `Database.find_readable` does.
    """
    if after is None:
        return await _find_readable(db, model, query, moment, limit, columns)
    same = await _find_readable(
        db, model, {**query, moment: after.at, "_id": {"$lt": after.id}}, moment, limit, columns
    )
    if len(same) == limit:
        return same
    older = {**query, moment: {"$lt": after.at}}
    return [*same, *await _find_readable(db, model, older, moment, limit - len(same), columns)]


async def _find_readable(
    db: Database, model: type[M], query: Document, moment: str, limit: int, columns: frozenset[str] | None
) -> list[M]:
    """Return at most `limit` readable documents.

    Unreadable ones are reported and do not shorten the page.
    """
    order, more = [(moment, DESCENDING), ("_id", DESCENDING)], 0
    while True:
        found, unreadable = await db.find_readable(model, query, order, limit + more, columns)
        if len(unreadable) <= more or len(found) + len(unreadable) < limit + more:
            return found[:limit]
        more = len(unreadable)
