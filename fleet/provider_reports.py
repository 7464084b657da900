"""The health of clouds, written by workers and read by every process, so that all of them rank clouds alike.

Only a worker has what a cloud needs: CloudyPad's executable, keys, credentials. A gateway that looked for itself would
find none of it.
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
_NO_REPORT: Final = "no worker has reported on it yet, or lately"


class ReportedHealth:
    """One cloud's health as the workers report it. `simulated` is known without them."""

    def __init__(self, db: Database, provider: ProviderName, *, simulated: bool) -> None:
        self._db = db
        self._provider = provider
        self._simulated = simulated

    async def get(self) -> ProviderHealth:
        """Return healthy when any worker can use the cloud now. Without a report nothing is held against it: the order
        of the clouds is then the same for all processes too. Never raises."""
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
        """`providers` look for themselves: they are not wrapped in reports. `worker` names this process."""
        self._db = db
        self._providers = providers
        self._worker = worker or token_hex(8)

    async def keep(self) -> None:
        """Report again and again, until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self.write()
            except GatewayError as error:
                log.warning("provider health not reported", extra={"why": error.message})
            await asyncio.sleep(REPORT_EVERY_S)

    async def write(self) -> None:
        """Look at every cloud once and write what is seen; forget the reports of workers that are gone."""
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
