"""The metrics' page, as each role shows it. A worker has it without the schema and its callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composition.parts import Parts
from resolvers.census import take_census
from settings import Environment, Settings
from web.metrics_page import Check, MetricsPage, RememberedCensus, bearers_of, everybody, staff

if TYPE_CHECKING:
    from web.gateway import Gateway


def page_of_a_gateway(settings: Settings, parts: Parts, gateway: Gateway) -> MetricsPage:
    return _page(settings, parts, staff(gateway, settings.metrics_token))


def page_of_a_worker(settings: Settings, parts: Parts) -> MetricsPage:
    return _page(settings, parts, bearers_of(settings.metrics_token))


def _page(settings: Settings, parts: Parts, in_production: Check) -> MetricsPage:
    check = everybody if settings.environment is Environment.DEVELOPMENT else in_production
    return MetricsPage(parts.metrics, RememberedCensus(lambda: take_census(parts.db)), check)
