"""Closed days, added up once. Derived from the usage intervals, and made again from them at any time."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from odmantic import EmbeddedModel, Field, Index, Model


class RollupKind(StrEnum):
    """What the groups of a rollup are. The names are those of the contract's CostGroup."""

    PROVIDER = "PROVIDER"
    CONSOLE = "CONSOLE"
    USER = "USER"
    VM = "VM"


class HourCell(EmbeddedModel):
    """One group in one hour of the day: dollars per hour times milliseconds, and milliseconds of running."""

    hour: int
    usd_ms: Decimal
    running_ms: int


class DayRollup(Model):
    """What one group used on one day, hour by hour; hours without use are left out."""

    id: str = Field(primary_field=True)  # "<day>:<kind>:<group>"
    day: datetime  # its midnight
    kind: RollupKind
    group: str
    hours: list[HourCell] = Field(default_factory=list)

    model_config = {
        "collection": "day_rollups",
        "indexes": lambda: [
            Index(DayRollup.kind, DayRollup.day, name="rollups_by_kind"),
            Index(DayRollup.day, name="rollups_by_day"),
        ],
    }


class RolledDay(Model):
    """This day is rolled up: the database holds all of its rollups."""

    id: datetime = Field(primary_field=True)  # its midnight
    at: datetime
    intervals: int  # how many of them took part

    model_config = {"collection": "rolled_days"}
