"""The metrics' page, as each role shows it. A worker has it without the schema and its callers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from composition.dependencies import Dependencies
from models.write_probe import WriteProbe
from resolvers.record_metrics import RecordMetrics, read_record_metrics
from settings import Environment, Settings
from web.metrics import Metrics
from web.metrics_endpoint import (
    CachedRecordMetrics,
    Check,
    MetricsPage,
    allow_all,
    require_token,
    require_token_or_staff,
)

if TYPE_CHECKING:
    from web.gateway import Gateway


def page_of_a_gateway(settings: Settings, parts: Dependencies, gateway: Gateway) -> MetricsPage:
    return _page(settings, parts, require_token_or_staff(gateway, settings.metrics_token))


def page_of_a_worker(settings: Settings, parts: Dependencies) -> MetricsPage:
    return _page(settings, parts, require_token(settings.metrics_token))


def _page(settings: Settings, parts: Dependencies, in_production: Check) -> MetricsPage:
    check = allow_all if settings.environment is Environment.DEVELOPMENT else in_production
    return MetricsPage(parts.metrics, CachedRecordMetrics(lambda: _taken(parts)), check)


async def _taken(parts: Dependencies) -> RecordMetrics:
    census, _ = await asyncio.gather(
        read_record_metrics(parts.db), record_write_check(parts.metrics, parts.write_probe)
    )
    return census


async def record_write_check(metrics: Metrics, probe: WriteProbe) -> None:
    """Set the metric to what a write of this process finds out now, or found out a moment ago."""
    metrics.database_takes_writes(await probe.check())
