"""How many requests somebody sent in a minute, counted by all processes together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from odmantic import Field, Model
from pymongo import ASCENDING, IndexModel

from errors import ConflictError
from models.database import Database

_KEPT_FOR: Final = timedelta(minutes=2)


class RateWindow(Model):
    """Gone by itself soon after its minute is over."""

    id: str = Field(primary_field=True)  # "<minutes since 1970>:<subject>"
    count: int = 0
    expires_at: datetime

    model_config = {
        "collection": "rate_windows",
        "indexes": lambda: [IndexModel([("expires_at", ASCENDING)], name="rate_windows_end", expireAfterSeconds=0)],
    }


async def claim(db: Database, subject: str, minute: int, permits: int) -> int:
    """Add to a minute's count in one write, and tell the count as it is then."""
    key = {"_id": f"{minute}:{subject}"}
    begin = datetime.fromtimestamp(minute * 60, UTC)
    changes = {"$inc": {"count": permits}, "$setOnInsert": {"expires_at": begin + _KEPT_FOR}}
    try:
        window = await db.update_or_insert(RateWindow, key, changes)
    except ConflictError:  # another process made the document at the same moment: now it is there
        window = await db.update_or_insert(RateWindow, key, changes)
    return window.count
