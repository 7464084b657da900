"""Placement attempts of a launch."""

from __future__ import annotations

from datetime import datetime

import strawberry

import models.launches
from schema.enums import ProviderName
from schema.places import site_id


@strawberry.type(description="One attempt of a launch to rent a machine at one site.")
class PlacementAttempt:
    provider: ProviderName = strawberry.field(description="The cloud that the attempt was made at.")
    site_id: strawberry.ID = strawberry.field(
        description="The global id of the site, known even if the cloud no longer lists the site."
    )
    started_at: datetime = strawberry.field(description="When the attempt began.")
    outcome: str = strawberry.field(description="What came of the attempt, in a sentence for the player.")

    @classmethod
    def of(cls, attempt: models.launches.Attempt) -> PlacementAttempt:
        return cls(
            provider=attempt.provider,
            site_id=site_id(attempt.provider, attempt.site_id),
            started_at=attempt.started_at,
            outcome=attempt.outcome,
        )
