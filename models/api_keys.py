"""An API key as it is kept: what it may do and until when. The key itself is not here, only a keyed hash of it."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model

from models.roles import Role


class ApiKey(Model):
    """`id` is the part of the key that is no secret; whoever calls with the key is called after it."""

    id: str = Field(primary_field=True)
    name: str
    role: Role
    digest: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None  # to the minute
    revoked_at: datetime | None = None

    model_config = {"collection": "api_keys"}

    def is_good_at(self, moment: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)
