"""An API key as stored: its role and its expiry. The key itself is stored only as a keyed hash."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Index, Model

from models.roles import Role


class ApiKey(Model):
    """An API key. `id` is the public part of the key; the caller that uses the key is named after it."""

    id: str = Field(primary_field=True)
    name: str
    role: Role
    digest: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None  # to the minute
    revoked_at: datetime | None = None

    model_config = {
        "collection": "api_keys",
        "indexes": lambda: [Index(ApiKey.created_at, name="api_keys_by_age")],
    }

    def is_valid_at(self, moment: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)
