"""Alerts operators to what a sweep left undone: machines that wait for them, and machines of other installations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from billing.operator_alerts import OperatorAlerts
from fleet.sweep_plan import Action, Verdict
from models.database import Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from providers.base import ProviderName

log = logging.getLogger(__name__)

_SUBJECT: Final = "sweeper"


class SweepAlerts:
    def __init__(self, db: Database) -> None:
        self._alerts = OperatorAlerts(db)

    async def update(self, actions: Sequence[Action], swept: Sequence[ProviderName]) -> None:
        """Raise or clear the alerts that result from these actions on the clouds in `swept`."""
        await self._alert_held([action for action in actions if action.verdict is Verdict.HOLD])
        for provider in swept:
            foreign = sum(action.verdict is Verdict.FOREIGN and action.provider is provider for action in actions)
            await self._alert_foreign(provider, foreign)

    async def _alert_held(self, held: Sequence[Action]) -> None:
        if not held:
            await self._alerts.clear(OperatorAlertCode.SWEEP_PAUSED, _SUBJECT)
            return
        message = (
            f"{len(held)} machines wait for an operator before being deleted. `python -m fleet.sweep --dry-run` "
            "lists them with the reasons, `--adopt` recreates their records, `--confirm` deletes them"
        )
        about = [f"{action.provider}:{action.machine_id}" for action in held]
        code = OperatorAlertCode.SWEEP_PAUSED
        if await self._alerts.raise_alert(AlertLevel.CRITICAL, code, _SUBJECT, message, about):
            why = "; ".join(sorted({action.reason for action in held}))
            log.error("sweeper waits for an operator", extra={"machines": len(held), "why": why})

    async def _alert_foreign(self, provider: ProviderName, count: int) -> None:
        if count == 0:
            await self._alerts.clear(OperatorAlertCode.FOREIGN_MACHINES, provider)
            return
        message = f"{count} machines at {provider} belong to another installation, or to none, and are left alone"
        await self._alerts.raise_alert(AlertLevel.WARNING, OperatorAlertCode.FOREIGN_MACHINES, provider, message)
