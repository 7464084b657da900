"""Quotas and balance of a whole cloud account: what rules out offers for a time, and the alert for operators."""

from __future__ import annotations

from decimal import Decimal

from billing.operator_alerts import OperatorAlerts
from errors import (
    AccountBalanceError,
    AccountQuotaError,
    NoCapacityError,
)
from models.database import Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from models.vms import Vm
from placement.unavailable_sites import BALANCE_FOR, QUOTA_FOR, FullSites
from providers.base import ProviderName


class AccountQuotas:
    def __init__(self, db: Database) -> None:
        self._full_sites = FullSites(db)
        self._alerts = OperatorAlerts(db)

    async def require(self, vm: Vm, usd_per_hour: Decimal) -> None:
        """Raise NoCapacityError at once if a quota of the whole account was used up recently.

        An earlier order is looked for first.
        """
        if vm.ordered_at is not None:
            return
        if (reason := await self._full_sites.cloud_reason(vm.provider, usd_per_hour)) is not None:
            raise NoCapacityError(reason)

    async def report(self, provider: ProviderName, error: AccountQuotaError) -> None:
        """Rule out what the quota does not cover for a time, and alert the operators."""
        used_up, for_, covers = "the balance is too low. Top it up", BALANCE_FOR, None
        if isinstance(error, AccountBalanceError):
            covers = error.covers_usd_per_hour
        else:
            used_up, for_ = f"its quota {error.quota} is used up. Ask the provider for more", QUOTA_FOR
        await self._full_sites.mark_cloud_full(provider, error.message, for_, covers)
        what = "nothing out" if covers is None else f"out nothing above {covers:.2f} USD an hour"
        await self._alerts.raise_alert(
            AlertLevel.WARNING,
            OperatorAlertCode.QUOTA_EXCEEDED,
            f"{provider}:{error.quota}",
            f"{provider} rents {what}: {used_up}",
        )

    async def clear_alert(self, provider: ProviderName) -> None:
        """Clear the operators' alert, because an order was accepted."""
        for alert in await self._alerts.find_open_of(OperatorAlertCode.QUOTA_EXCEEDED):
            if alert.subject_id.startswith(f"{provider}:"):
                await self._alerts.clear(alert.code, alert.subject_id)
