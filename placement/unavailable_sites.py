"""Remembers which sites had no capacity, in the database for all processes, for minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from models.database import Database
from models.placement_cache import FullSite
from providers.base import ProviderName, SiteId

FULL_FOR: Final = timedelta(minutes=5)
QUOTA_FOR: Final = timedelta(minutes=15)
BALANCE_FOR: Final = timedelta(minutes=1)  # a balance is topped up at once, and reading it costs nothing
EVERY_SITE: Final = SiteId("*")  # not a site id: the whole cloud
_REASON_LIMIT: Final = 256


@dataclass(frozen=True, slots=True)
class Unavailable:
    """What is skipped now: sites, and at some clouds all offers above a price that the balance covers."""

    sites: set[tuple[ProviderName, str]]
    covered_usd_per_hour: Mapping[ProviderName, Decimal]


class FullSites:
    def __init__(self, db: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = db
        self._now = now

    async def mark_full(self, provider: ProviderName, site_id: SiteId, reason: str) -> None:
        """Skip the site for five minutes. Repeating it extends the time."""
        now = self._now()
        await self._db.delete(FullSite, {"until": {"$lt": now}})
        await self._db.replace(
            FullSite(
                id=f"{provider}:{site_id}",
                provider=provider,
                site_id=site_id,
                until=now + FULL_FOR,
                reason=reason[:_REASON_LIMIT],
            )
        )

    async def mark_cloud_full(
        self,
        provider: ProviderName,
        reason: str,
        for_: timedelta = QUOTA_FOR,
        covers_usd_per_hour: Decimal | None = None,
    ) -> None:
        """Skip the whole cloud in all processes, because a quota of the account, or its balance, is used up.

        Offers up to `covers_usd_per_hour` are not skipped.
        """
        await self._db.replace(
            FullSite(
                id=f"{provider}:{EVERY_SITE}",
                provider=provider,
                site_id=EVERY_SITE,
                until=self._now() + for_,
                reason=reason[:_REASON_LIMIT],
                covers_usd_per_hour=covers_usd_per_hour,
            )
        )

    async def cloud_reason(self, provider: ProviderName, usd_per_hour: Decimal) -> str | None:
        """Return why the whole cloud is skipped now for offers at this price, or None if it is not."""
        found = await self._db.get_derived(FullSite, f"{provider}:{EVERY_SITE}")
        if found is None or found.until <= self._now():
            return None
        covers = found.covers_usd_per_hour
        return found.reason if covers is None or usd_per_hour > covers else None

    async def list_full(self) -> Unavailable:
        found, _ = await self._db.find_readable(FullSite, {"until": {"$gt": self._now()}})
        covered = {full.provider: full.covers_usd_per_hour for full in found if full.covers_usd_per_hour is not None}
        sites = {(full.provider, full.site_id) for full in found if full.covers_usd_per_hour is None}
        return Unavailable(sites, covered)
