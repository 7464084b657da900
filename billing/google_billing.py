"""Imports Google's charges from its billing export and attributes them to our VMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from billing.amounts import EXACT, HOUR, PLACES, midnight
from billing.operator_alerts import OperatorAlerts
from models.billed import BilledAmount, BilledState
from models.database import Database, Document
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from models.vms import Vm
from providers.base import ProviderName
from providers.google.billing_export import ExportedCost

# Corrections arrive for days, and a month is closed some days after its end.
_READ_AGAIN: Final = timedelta(days=35)
_GOOGLE: Final = ProviderName.CLOUDYPAD


class Export(Protocol):
    """Source of costs, such as providers.google.billing_export.BillingExport."""

    async def costs(self, since: datetime, until: datetime) -> Sequence[ExportedCost]: ...


class GoogleBillingImport:
    def __init__(self, db: Database, export: Export) -> None:
        self._db = db
        self._export = export
        self._alerts = OperatorAlerts(db)

    async def fetch(self, now: datetime) -> int:
        """Import Google's charges of the last weeks and return their number. May be repeated.

        A response without rows after one with rows is an outage of the export and deletes nothing. Charges that Google
        no longer lists are deleted only from the first hour of its response on.
        """
        since = midnight(now - _READ_AGAIN)
        costs = await self._export.costs(since, now)
        if not costs:
            await self._report_missing(since)
            return 0
        vms = await self._vms(costs)
        amounts = {amount.id: amount for amount in (_amount(cost, vms) for cost in costs)}
        for amount in amounts.values():
            await self._db.replace(amount)
        hours = [cost.hour for cost in costs]
        await self._forget_others(min(hours), set(amounts))
        await self._note_covered(max(hours) + HOUR)
        await self._alerts.clear(OperatorAlertCode.BILLING_EXPORT_STALE, _GOOGLE)
        return len(amounts)

    async def _report_missing(self, since: datetime) -> None:
        if await self._db.count(BilledAmount, {"provider": _GOOGLE, "at": {"$gte": since}}) == 0:
            return  # the export has not begun
        message = "Google's billing export returns no rows; earlier charges are kept"
        await self._alerts.raise_alert(AlertLevel.WARNING, OperatorAlertCode.BILLING_EXPORT_STALE, _GOOGLE, message)

    async def _note_covered(self, until: datetime) -> None:
        """Store the end of the last hour that the export covers. It never moves back."""
        known = await self._db.get_derived(BilledState, _GOOGLE)
        if known is None or known.as_of < until:
            await self._db.replace(BilledState(id=_GOOGLE, as_of=until))

    async def _vms(self, costs: Sequence[ExportedCost]) -> dict[str, Document]:
        """Return what is needed of the VMs by their tags, also of records that this version cannot read as a whole."""
        tags = sorted({cost.tag for cost in costs if cost.tag is not None})
        wanted: list[Document] = [
            {"$match": {"tag": {"$in": tags}}},
            {"$project": {"tag": 1, "user_id": 1, "console": 1}},
        ]
        return {str(raw["tag"]): raw for raw in await self._db.aggregate(Vm, wanted)}

    async def _forget_others(self, first: datetime, kept: set[str]) -> None:
        """Delete stored charges that Google no longer lists."""
        since = {"provider": _GOOGLE, "at": {"$gte": first}}
        known = await self._db.aggregate(BilledAmount, [{"$match": since}, {"$project": {"_id": 1}}])
        gone = [raw["_id"] for raw in known if raw["_id"] not in kept]
        if gone:
            await self._db.delete(BilledAmount, {"_id": {"$in": gone}})


def _amount(cost: ExportedCost, vms: Mapping[str, Document]) -> BilledAmount:
    vm: Document = {} if cost.tag is None else vms.get(cost.tag, {})
    return BilledAmount(
        id=f"{_GOOGLE}:{cost.hour:%Y-%m-%dT%H}:{cost.tag or ''}",
        provider=_GOOGLE,
        at=cost.hour,
        usd=_quantize(cost.usd),
        vm_id=vm.get("_id"),
        user_id=vm.get("user_id"),
        console=vm.get("console"),
    )


def _quantize(usd: Decimal) -> Decimal:
    return EXACT.quantize(usd, PLACES)
