"""The record of an order, in memory: what the fleet keeps in the database."""

from __future__ import annotations

from datetime import UTC, datetime


class Record:
    """`permit` for a provider's `rent`. `ordered_at` is what the next attempt is told."""

    def __init__(self) -> None:
        self.ordered_at: datetime | None = None

    async def permit(self) -> datetime:
        self.ordered_at = datetime.now(UTC)
        return self.ordered_at
