"""Idempotency keys: each belongs to a caller and a user, and names one launch."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from odmantic import Field, Model
from pymongo import ASCENDING, IndexModel

KEPT_FOR: Final = timedelta(days=7)


class IdempotencyKey(Model):
    """The request that was sent with a key, and the launch that it names. Expires after a week."""

    id: str = Field(primary_field=True)  # of `key_id`
    launch_id: str
    asked: str  # a hash of the arguments as sent
    filled: str  # a hash of the arguments with the defaults at that time
    expires_at: datetime

    model_config = {
        "collection": "idempotency_keys",
        "indexes": lambda: [IndexModel([("expires_at", ASCENDING)], name="idempotency_keys_end", expireAfterSeconds=0)],
    }


def key_id(caller_id: str, user_id: str, key: str) -> str:
    """Return an id for this caller's key for this user. It reveals none of the three."""
    return hashlib.sha256("\n".join((caller_id, user_id, key)).encode()).hexdigest()
