"""The metrics endpoint of each role. A worker has it without the GraphQL schema and authentication."""

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


def gateway_metrics_page(settings: Settings, parts: Dependencies, gateway: Gateway) -> MetricsPage:
    """Return the page that operators and services may read, and callers with METRICS_TOKEN."""
    return _page(settings, parts, require_token_or_staff(gateway, settings.metrics_token))


def worker_metrics_page(settings: Settings, parts: Dependencies) -> MetricsPage:
    """Return the page that callers with METRICS_TOKEN may read."""
    return _page(settings, parts, require_token(settings.metrics_token))


def _page(settings: Settings, parts: Dependencies, in_production: Check) -> MetricsPage:
    check = allow_all if settings.environment is Environment.DEVELOPMENT else in_production
    return MetricsPage(parts.metrics, CachedRecordMetrics(lambda: _read(parts)), check)


async def _read(parts: Dependencies) -> RecordMetrics:
    figures, _ = await asyncio.gather(
        read_record_metrics(parts.db), record_write_check(parts.metrics, parts.write_probe)
    )
    return figures


async def record_write_check(metrics: Metrics, probe: WriteProbe) -> None:
    """Set the metric to the result of a test write, made now or a moment ago."""
    metrics.database_takes_writes(await probe.check())
