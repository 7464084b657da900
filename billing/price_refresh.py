"""Refreshes Google's list prices once a day, by one worker, on a Temporal schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from billing.google_catalog import Catalog
    from billing.google_prices import refresh
    from billing.workflows import ensure_schedule
    from models.database import Database

REFRESH_PRICES: Final = "RefreshPrices"
_EVERY: Final = timedelta(days=1)
_RETRY: Final = RetryPolicy(initial_interval=timedelta(minutes=1), maximum_interval=timedelta(hours=1))


class PriceRefreshing:
    """Activities. Without a catalog there is nothing to read, and the prices stay as they are."""

    def __init__(self, db: Database, catalog: Catalog | None) -> None:
        self._db = db
        self._catalog = catalog

    @activity.defn(name="refresh_prices")
    async def refresh_prices(self) -> int:
        """Refresh the prices and return the number of prices stored."""
        return 0 if self._catalog is None else (await refresh(self._db, self._catalog)).parts

    async def ensure_schedule(self, client: Client, task_queue: str) -> None:
        """Create the daily schedule and start its first run. Every worker may call it at every start."""
        if self._catalog is None:
            return
        await ensure_schedule(client, task_queue, REFRESH_PRICES, _EVERY)


@workflow.defn(name=REFRESH_PRICES)
class PriceRefreshWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            PriceRefreshing.refresh_prices,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(hours=12),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=_RETRY,
        )
