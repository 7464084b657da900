"""A scheduled launch: a player's plan to play at a certain time, and what became of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import Field, Index, Model

from models.catalog import ConsoleType
from models.launches import MeasuredRtt
from providers.base import ProviderName


class ScheduledLaunchStatus(StrEnum):
    PLANNED = "PLANNED"
    STARTING = "STARTING"  # a worker is requesting its launch
    STARTED = "STARTED"  # its launch exists
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"  # no launch could be requested


OPEN: Final = frozenset({ScheduledLaunchStatus.PLANNED, ScheduledLaunchStatus.STARTING})


class ScheduledLaunch(Model):
    """A launch that is requested early enough for the game to be playable `at` a time."""

    id: str = Field(primary_field=True)
    caller_id: str  # of the request; unique together with the idempotency key
    idempotency_key: str
    user_id: str  # the player
    at: datetime
    status: ScheduledLaunchStatus = ScheduledLaunchStatus.PLANNED
    console: ConsoleType
    game_id: str
    save_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    measured_rtts: list[MeasuredRtt] = []
    provider: ProviderName | None = None
    max_usd_per_hour: Decimal | None = None
    idle_stop_minutes: int | None = None
    max_session_hours: float | None = None
    launch_id: str  # chosen with the plan, so that it is requested once
    started_launch_id: str | None = None  # the launch that plays: another one if it was under way already
    planned_at: datetime
    failure: str | None = None

    model_config = {
        "collection": "scheduled_launches",
        "indexes": lambda: [
            Index(
                ScheduledLaunch.caller_id, ScheduledLaunch.idempotency_key, name="scheduled_launch_once", unique=True
            ),
            Index(ScheduledLaunch.user_id, ScheduledLaunch.planned_at, name="scheduled_launches_of_user"),
            Index(ScheduledLaunch.status, ScheduledLaunch.at, name="scheduled_launches_by_status"),
            Index(ScheduledLaunch.planned_at, name="scheduled_launches_by_age"),
        ],
    }


class ScheduledLaunchCounter(Model):
    """How often a user has planned launches. Each new plan changes it, so that plans at the same time never add up."""

    id: str = Field(primary_field=True)  # the user
    planned: int = 0

    model_config = {"collection": "scheduled_launch_counters"}
