"""What was used: one interval per VM and state. Every sum of money is derived from these, nothing is counted along."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from odmantic import Field, Index, Model

from models.catalog import ConsoleType
from providers.base import ProviderName


class UsageState(StrEnum):
    RUNNING = "RUNNING"  # everything is billed
    STOPPED = "STOPPED"  # storage alone is billed


class UsageInterval(Model):
    """From `start` up to, not including, `end`; an `end` of None means until now. The intervals of one VM are numbered
    1, 2, 3, ... and each begins where the one before it ends. Prices are USD per hour, in parts that add up."""

    id: str = Field(primary_field=True)  # "<vm>:<number>"
    vm_id: str
    number: int
    user_id: str
    provider: ProviderName
    console: ConsoleType
    state: UsageState
    start: datetime
    end: datetime | None = None
    machine_usd_per_hour: Decimal
    storage_usd_per_hour: Decimal
    egress_usd_per_hour: Decimal = Decimal(0)

    model_config = {
        "collection": "usage_intervals",
        "indexes": lambda: [
            Index(UsageInterval.vm_id, UsageInterval.number, name="usage_of_vm", unique=True),
            Index(UsageInterval.user_id, UsageInterval.start, name="usage_of_user"),
            Index(UsageInterval.end, UsageInterval.start, name="usage_by_end"),
            Index(UsageInterval.start, name="usage_by_start"),
        ],
    }

    @property
    def usd_per_hour(self) -> Decimal:
        return self.machine_usd_per_hour + self.storage_usd_per_hour + self.egress_usd_per_hour
