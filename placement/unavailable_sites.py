"""Which sites refused for lack of capacity a moment ago: shared by all processes, forgotten after minutes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from models.database import Database
from models.placement_cache import FullSite
from providers.base import ProviderName, SiteId

FULL_FOR: Final = timedelta(minutes=5)
QUOTA_FOR: Final = timedelta(minutes=15)
EVERY_SITE: Final = SiteId("*")  # no id of a site: the whole cloud
_REASON_LIMIT: Final = 256


class FullSites:
    def __init__(self, db: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = db
        self._now = now

    async def remember(self, provider: ProviderName, site_id: SiteId, reason: str) -> None:
        """From now on for five minutes. May be repeated, which prolongs it."""
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

    async def remember_cloud(self, provider: ProviderName, reason: str) -> None:
        """All processes pass the whole cloud over for a quarter of an hour: a quota of the account is used up."""
        await self._db.replace(
            FullSite(
                id=f"{provider}:{EVERY_SITE}",
                provider=provider,
                site_id=EVERY_SITE,
                until=self._now() + QUOTA_FOR,
                reason=reason[:_REASON_LIMIT],
            )
        )

    async def cloud_reason(self, provider: ProviderName) -> str | None:
        """Return why the whole cloud is passed over now; None when it is not."""
        found = await self._db.get_derived(FullSite, f"{provider}:{EVERY_SITE}")
        return found.reason if found is not None and found.until > self._now() else None

    async def now(self) -> set[tuple[ProviderName, str]]:
        sites, _ = await self._db.find_readable(FullSite, {"until": {"$gt": self._now()}})
        return {(full.provider, full.site_id) for full in sites}
