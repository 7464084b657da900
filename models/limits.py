"""Spending limits and their alerts, each raised once per period and level across all processes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import Field, Index, Model

from models.database import Database

ALERTS: Final = "alerts"


class LimitPeriod(StrEnum):
    DAILY = "DAILY"
    MONTHLY = "MONTHLY"


class AlertLevel(StrEnum):
    INFO = "INFO"  # the forecast is above the limit
    WARNING = "WARNING"  # 80 % of the limit is spent
    CRITICAL = "CRITICAL"  # all of the limit is spent


class SpendingLimit(Model):
    """A limit, one per period and user.

    `user_id` None means the whole platform. A hard limit rejects launches and stops running machines.
    """

    id: str = Field(primary_field=True)  # "<period>:<user or nothing>"
    period: LimitPeriod
    user_id: str | None = None
    usd: Decimal
    hard: bool = False
    set_at: datetime

    model_config = {
        "collection": "spending_limits",
        "indexes": lambda: [Index(SpendingLimit.user_id, name="limits_of_user")],
    }


class SpendingAlert(Model):
    """An alert. The id contains period, level and limit, so that the database rejects duplicates."""

    id: str = Field(primary_field=True)
    channel: str = ALERTS  # the same for all subscribers
    level: AlertLevel
    period: LimitPeriod
    period_start: datetime
    user_id: str | None = None
    limit_usd: Decimal
    spent_usd: Decimal
    forecast_usd: Decimal
    message: str
    raised_at: datetime
    told: bool = False  # delivered by webhook, or given up

    model_config = {
        "collection": "spending_alerts",
        "indexes": lambda: [
            Index(SpendingAlert.user_id, SpendingAlert.raised_at, name="alerts_of_user"),
            Index(SpendingAlert.raised_at, name="alerts_by_time"),
            Index(SpendingAlert.told, SpendingAlert.raised_at, name="alerts_to_tell"),
        ],
    }


class SpendingStop(Model):
    """A machine that will be stopped because of a hard limit; its player has been warned."""

    id: str = Field(primary_field=True)  # the VM's
    stop_at: datetime
    warning: str

    model_config = {"collection": "spending_stops"}


def limit_id(period: LimitPeriod, user_id: str | None) -> str:
    """Return the id of the limit of a period and user."""
    return f"{period}:{user_id or ''}"


async def find_limits(db: Database, user_id: str | None) -> list[SpendingLimit]:
    """Return one user's limits that can be read, or the platform's for None."""
    limits, _ = await db.find_readable(SpendingLimit, {"user_id": user_id})
    return limits
