"""Operator alerts: list them, and follow them as they are raised and cleared."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from auth.authorization import require
from billing.operator_alerts import OperatorAlerts
from models.operator_alerts import OperatorAlert
from resolvers.context import Context
from resolvers.pagination import page_size


async def operator_alerts(context: Context, *, include_cleared: bool, limit: int | None) -> list[OperatorAlert]:
    """Return alerts, newest first; only open ones unless `include_cleared` is set."""
    require(context.caller, "Query.operatorAlerts")
    size = page_size(limit, "limit")
    return await OperatorAlerts(context.services.db).find_newest(with_cleared=include_cleared, limit=size)


async def operator_alerts_changed(context: Context) -> AsyncGenerator[OperatorAlert, None]:
    """Follow alerts from now on."""
    require(context.caller, "Subscription.operatorAlerts")
    return _follow(context)


async def _follow(context: Context) -> AsyncGenerator[OperatorAlert, None]:
    async with aclosing(context.services.operator_alerts.follow()) as alerts:
        async for alert in alerts:
            yield alert
