"""Google's word on what it charged, fetched from its billing export and laid beside our machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from billing.amounts import EXACT, PLACES, midnight
from models.billed import BilledAmount, BilledState
from models.database import Database
from models.vms import Vm
from providers.base import ProviderName
from providers.google.billing_export import ExportedCost

# Corrections come for days, and a month is closed some days after its end.
_READ_AGAIN: Final = timedelta(days=35)
_GOOGLE: Final = ProviderName.CLOUDYPAD


class Export(Protocol):
    """providers.google.billing_export.BillingExport is one."""

    async def costs(self, since: datetime, until: datetime) -> Sequence[ExportedCost]: ...


class ExportBook:
    def __init__(self, db: Database, export: Export) -> None:
        self._db = db
        self._export = export

    async def fetch(self, now: datetime) -> int:
        """Take over what Google says of the last weeks; how many amounts. May be repeated."""
        since = midnight(now - _READ_AGAIN)
        costs = await self._export.costs(since, now)
        vms = await self._vms(costs)
        amounts = {amount.id: amount for amount in (_amount(cost, vms) for cost in costs)}
        for amount in amounts.values():
            await self._db.replace(amount)
        await self._forget_others(since, set(amounts))
        if costs:
            await self._db.replace(BilledState(id=_GOOGLE, as_of=max(cost.exported_at for cost in costs)))
        return len(amounts)

    async def _vms(self, costs: Sequence[ExportedCost]) -> dict[str, Vm]:
        tags = sorted({cost.tag for cost in costs if cost.tag is not None})
        return {vm.tag: vm for vm in await self._db.find(Vm, {"tag": {"$in": tags}})}

    async def _forget_others(self, since: datetime, kept: set[str]) -> None:
        """What Google said before and says no more."""
        known = await self._db.find(BilledAmount, {"provider": _GOOGLE, "at": {"$gte": since}})
        gone = [amount.id for amount in known if amount.id not in kept]
        if gone:
            await self._db.delete(BilledAmount, {"_id": {"$in": gone}})


def _amount(cost: ExportedCost, vms: dict[str, Vm]) -> BilledAmount:
    vm = None if cost.tag is None else vms.get(cost.tag)
    return BilledAmount(
        id=f"{_GOOGLE}:{cost.hour:%Y-%m-%dT%H}:{cost.tag or ''}",
        provider=_GOOGLE,
        at=cost.hour,
        usd=_stored(cost.usd),
        vm_id=None if vm is None else vm.id,
        user_id=None if vm is None else vm.user_id,
        console=None if vm is None else vm.console.value,
    )


def _stored(usd: Decimal) -> Decimal:
    return EXACT.quantize(usd, PLACES)
