"""Keys by which callers repeat a request: each belongs to a caller and a user, and names one launch."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from odmantic import Field, Model
from pymongo import ASCENDING, IndexModel

KEPT_FOR: Final = timedelta(days=7)


class IdempotencyKey(Model):
    """What was asked for with a key, and the launch that it names. Gone by itself after a week."""

    id: str = Field(primary_field=True)  # of `key_id`
    launch_id: str
    asked: str  # a hash of the arguments as they were sent
    filled: str  # a hash of the arguments with the defaults of that moment
    expires_at: datetime

    model_config = {
        "collection": "idempotency_keys",
        "indexes": lambda: [IndexModel([("expires_at", ASCENDING)], name="idempotency_keys_end", expireAfterSeconds=0)],
    }


def key_id(caller_id: str, user_id: str, key: str) -> str:
    """An id of this key of this caller for this user, which says nothing of the three."""
    return hashlib.sha256("\n".join((caller_id, user_id, key)).encode()).hexdigest()
