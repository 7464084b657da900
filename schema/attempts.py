"""A site that was tried for a launch."""

from __future__ import annotations

from datetime import datetime

import strawberry

import models.launches
from schema.enums import ProviderName
from schema.places import site_id


@strawberry.type(description="One site that was tried, and what came of it.")
class PlacementAttempt:
    provider: ProviderName
    site_id: strawberry.ID
    started_at: datetime
    outcome: str

    @classmethod
    def of(cls, attempt: models.launches.Attempt) -> PlacementAttempt:
        return cls(
            provider=attempt.provider,
            site_id=site_id(attempt.provider, attempt.site_id),
            started_at=attempt.started_at,
            outcome=attempt.outcome,
        )
