"""Requests per caller and minute, counted across all processes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from odmantic import Field, Model
from pymongo import ASCENDING, IndexModel

from errors import ConflictError
from models.database import Database, Document

_KEPT_FOR: Final = timedelta(minutes=2)


Claim = tuple[int, str]  # a minute since 1970, and a subject


class RateWindow(Model):
    """The count of one minute. Expires soon after the minute is over."""

    id: str = Field(primary_field=True)  # "<minutes since 1970>:<subject>"
    count: int = 0
    expires_at: datetime

    model_config = {
        "collection": "rate_windows",
        "indexes": lambda: [IndexModel([("expires_at", ASCENDING)], name="rate_windows_end", expireAfterSeconds=0)],
    }


async def claim_all(db: Database, claims: Mapping[Claim, int]) -> dict[Claim, int]:
    """Add to the counts of several subjects in one transaction and return the new counts."""
    if len(claims) == 1:
        ((minute, subject), permits) = next(iter(claims.items()))
        return {(minute, subject): await claim(db, subject, minute, permits)}

    async def add() -> dict[str, int]:
        await db.upsert_many(RateWindow, {_id(*one): _increment(one[0], permits) for one, permits in claims.items()})
        rows = await db.rows(RateWindow, {"_id": {"$in": [_id(*one) for one in claims]}})
        return {str(raw["_id"]): int(raw["count"]) for raw in rows}

    counts = await db.transaction(add)
    return {one: counts[_id(*one)] for one in claims}


async def claim(db: Database, subject: str, minute: int, permits: int) -> int:
    """Add to a minute's count in one write and return the new count."""
    key, changes = {"_id": _id(minute, subject)}, _increment(minute, permits)
    try:
        window = await db.update_or_insert(RateWindow, key, changes)
    except ConflictError:  # another process created the document at the same time: now it exists
        window = await db.update_or_insert(RateWindow, key, changes)
    return window.count


def _id(minute: int, subject: str) -> str:
    return f"{minute}:{subject}"


def _increment(minute: int, permits: int) -> Document:
    expires_at = datetime.fromtimestamp(minute * 60, UTC) + _KEPT_FOR
    return {"$inc": {"count": permits}, "$setOnInsert": {"expires_at": expires_at}}
