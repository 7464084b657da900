"""Warns before a provider's prepaid balance runs out and its machines are stopped.

The monitoring of each machine reads the alert raised here: it uploads the saves in time and warns the player.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from billing.amounts import EXACT, sum_exactly
from billing.operator_alerts import OperatorAlerts
from models.billed import BalanceSample
from models.database import DESCENDING, Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from models.vms import Vm, VmStatus
from models.warm_machines import OPEN, WarmMachine
from providers.base import ProviderName

_WARNING_BELOW: Final = timedelta(hours=1)
_CRITICAL_BELOW: Final = timedelta(minutes=15)
_USABLE: Final = timedelta(minutes=30)  # an older sample proves nothing about the balance now
_ON: Final = [VmStatus.PROVISIONING, VmStatus.STARTING, VmStatus.RUNNING, VmStatus.STOPPING]
_LONGEST: Final = timedelta(days=365)


class BalanceGuard:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._alerts = OperatorAlerts(db)

    async def check(self, now: datetime) -> None:
        """Raise, replace or clear the alert of each provider with a known balance.

        An unknown balance changes nothing.
        """
        for provider in ProviderName:
            sample = await self._newest_sample(provider, now)
            if sample is not None:
                await self._judge(provider, sample, now)

    async def _judge(self, provider: ProviderName, sample: BalanceSample, now: datetime) -> None:
        burn = await self._usd_per_hour(provider)
        left = time_left(sample.usd, burn, now - sample.at)
        level = _level(left)
        if level is None:
            await self._alerts.clear(OperatorAlertCode.BALANCE_LOW, provider)
            return
        message = f"{provider}'s balance of {sample.usd:.2f} USD lasts for {_words(left)} at {burn:.2f} USD an hour"
        await self._alerts.raise_alert(level, OperatorAlertCode.BALANCE_LOW, provider, message)

    async def _newest_sample(self, provider: ProviderName, now: datetime) -> BalanceSample | None:
        recent = {"provider": provider, "at": {"$gte": now - _USABLE}}
        found, _ = await self._db.find_readable(BalanceSample, recent, sort=[("at", DESCENDING)])
        return found[0] if found else None

    async def _usd_per_hour(self, provider: ProviderName) -> Decimal:
        """Return the hourly cost of this provider's machines now, without estimated traffic, which no balance pays."""
        total = Decimal(0)
        alive = {"status": {"$in": [*_ON, VmStatus.STOPPED]}, "provider": provider}
        vms, _ = await self._db.find_readable(Vm, alive)
        for vm in vms:
            if vm.provider_id is None:
                continue
            full = vm.status is not VmStatus.STOPPED or vm.billed_in_full
            usd = EXACT.subtract(vm.usd_per_hour, vm.usd_per_hour_egress) if full else vm.usd_per_hour_stopped
            total = EXACT.add(total, usd)
        return EXACT.add(total, await self._usd_per_hour_warm(provider))

    async def _usd_per_hour_warm(self, provider: ProviderName) -> Decimal:
        """Return the hourly cost of the warm pool's machines at this provider."""
        pooled = {"status": {"$in": sorted(OPEN)}, "provider": provider}
        machines, _ = await self._db.find_readable(WarmMachine, pooled)
        ordered = [each for each in machines if each.ordered_at is not None or each.provider_id is not None]
        prices = [each.usd_per_hour if each.ready_at is None else each.usd_per_hour_stopped for each in ordered]
        return sum_exactly(prices)


def time_left(usd: Decimal, usd_per_hour: Decimal, sample_age: timedelta) -> timedelta:
    """Return how long a balance lasts from now on: at least zero, at most a year."""
    if usd <= 0:
        return timedelta(0)
    if usd_per_hour <= 0:
        return _LONGEST
    hours = min(usd / usd_per_hour, Decimal(_LONGEST / timedelta(hours=1)))
    return max(timedelta(0), timedelta(hours=float(hours)) - sample_age)


def _level(left: timedelta) -> AlertLevel | None:
    if left < _CRITICAL_BELOW:
        return AlertLevel.CRITICAL
    return AlertLevel.WARNING if left < _WARNING_BELOW else None


def _words(left: timedelta) -> str:
    minutes = left // timedelta(minutes=1)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
