"""Meters machines of the warm pool, from the order to the release, or to the moment when a launch takes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.meter import Meter
from models.catalog import ConsoleType
from models.database import Database
from models.usage import UsageState
from models.warm_machines import WarmMachine
from providers.base import ProviderName


@dataclass(frozen=True, slots=True)
class _Chain:
    """The intervals of a machine while it is in the pool: the VM that it becomes has other ones."""

    id: str
    user_id: str
    provider: ProviderName
    console: ConsoleType
    usd_per_hour: Decimal
    usd_per_hour_stopped: Decimal
    usd_per_hour_egress: Decimal = Decimal(0)  # nothing is streamed from the pool


class WarmMeter:
    def __init__(self, db: Database) -> None:
        self._meter = Meter(db)

    async def record_state(self, machine: WarmMachine, state: UsageState | None, at: datetime) -> None:
        """Record that the machine is in this state from `at` on; None ends its usage. May be repeated."""
        await self._meter.record_state(_chain(machine), state, at)

    async def has_usage(self, machine: WarmMachine) -> bool:
        """Return whether the machine was ever metered in the pool."""
        return await self._meter.has_usage(chain_id(machine.id))


def chain_id(machine_id: str) -> str:
    """Return what names a machine's intervals in the pool."""
    return f"warm-{machine_id}"


def _chain(machine: WarmMachine) -> _Chain:
    return _Chain(
        id=chain_id(machine.id),
        user_id=machine.user_id,
        provider=machine.provider,
        console=machine.console,
        usd_per_hour=machine.usd_per_hour,
        usd_per_hour_stopped=machine.usd_per_hour_stopped,
    )
