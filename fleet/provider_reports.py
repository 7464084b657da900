"""Health of clouds, written by workers and read by every process, so that all rank clouds alike.

Only a worker has what a cloud needs: CloudyPad's executable, keys and credentials. A gateway has none of it and could
not check by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Final

from errors import GatewayError, UnavailableError
from models.database import Database
from models.provider_reports import ProviderReport
from providers.base import Provider, ProviderHealth, ProviderName

log = logging.getLogger(__name__)

REPORT_EVERY_S: Final = 15.0
_GOOD_FOR: Final = timedelta(seconds=60)
_NO_REPORT: Final = "no worker has reported on it yet, or recently"


class ReportedHealth:
    """Health of one cloud as the workers report it. `simulated` is known without them."""

    def __init__(self, db: Database, provider: ProviderName, *, simulated: bool) -> None:
        self._db = db
        self._provider = provider
        self._simulated = simulated

    async def get(self) -> ProviderHealth:
        """Return healthy if any worker can use the cloud now. Never raises.

        A missing report counts as healthy, so that all processes rank the clouds alike.
        """
        try:
            now = {"provider": self._provider, "expires_at": {"$gt": datetime.now(UTC)}}
            reports, _ = await self._db.find_readable(ProviderReport, now, sort=[("expires_at", -1)])
        except UnavailableError:
            reports = []
        if not reports:
            return self._health(True, _NO_REPORT)
        best = next((report for report in reports if report.healthy), reports[0])
        return self._health(best.healthy, best.detail)

    def _health(self, healthy: bool, detail: str | None) -> ProviderHealth:
        return ProviderHealth(configured=True, healthy=healthy, simulated=self._simulated, detail=detail)


class ProviderReports:
    """Writes this worker's reports."""

    def __init__(self, db: Database, providers: Sequence[Provider], worker: str | None = None) -> None:
        """Report on `providers`, which check themselves and are not wrapped in reports. `worker` names this process."""
        self._db = db
        self._providers = providers
        self._worker = worker or token_hex(8)

    async def keep(self) -> None:
        """Report regularly until cancelled, waiting for a database that is unavailable."""
        while True:
            try:
                await self.write()
            except GatewayError as error:
                log.warning("provider health not reported", extra={"why": error.message})
            await asyncio.sleep(REPORT_EVERY_S)

    async def write(self) -> None:
        """Check every cloud once and write the results; delete reports of workers that are gone."""
        found = await asyncio.gather(*(provider.health() for provider in self._providers))
        now = datetime.now(UTC)
        for provider, health in zip(self._providers, found, strict=True):
            await self._db.replace(
                ProviderReport(
                    id=f"{provider.name}:{self._worker}",
                    provider=provider.name,
                    healthy=health.healthy,
                    detail=health.detail,
                    at=now,
                    expires_at=now + _GOOD_FOR,
                )
            )
            await self._db.delete(ProviderReport, {"provider": provider.name, "expires_at": {"$lt": now - _GOOD_FOR}})
