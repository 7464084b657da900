"""Spending limits at work: alerts are raised and told, and what a hard limit forbids is stopped after a warning."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from billing.alerts import Alerts
from billing.limits import SpendingLimits
from billing.webhooks import AlertWebhooks
from errors import GatewayError
from fleet.commands import Command
from fleet.desk import Fleet
from models.audit import accounted, by_the_service
from models.database import Database
from models.limits import SpendingStop
from models.vms import Vm, VmStatus

log = logging.getLogger(__name__)

_GRACE: Final = timedelta(minutes=2)


class Spending:
    """The activities. Every one may be repeated, and by several workers at once."""

    def __init__(self, db: Database, fleet: Fleet, webhooks: AlertWebhooks, *, grace: timedelta = _GRACE) -> None:
        """`grace`: how long before the stop a player is warned."""
        self._db = db
        self._fleet = fleet
        self._webhooks = webhooks
        self._grace = grace
        self._alerts = Alerts(db)
        self._limits = SpendingLimits(db)

    @activity.defn
    async def raise_alerts(self) -> list[str]:
        """Look at all limits; returns the ids of the alerts that still have to be told outside."""
        for alert in await self._alerts.raise_all_due(datetime.now(UTC)):
            log.warning("spending alert", extra={"level": alert.level, "why": alert.message, "user": alert.user_id})
        return await self._webhooks.waiting()

    @activity.defn
    async def stop_what_must(self) -> int:
        """Warn the players whose hard limit is reached, stop the machines that were warned long enough ago, and take
        warnings back that no longer hold. The number of machines that were stopped."""
        now = datetime.now(UTC)
        must_stop = await self._limits.must_stop(now)
        warned = {stop.id: stop for stop in await self._db.find(SpendingStop, {})}
        running = await self._db.find(Vm, {"status": VmStatus.RUNNING})
        stopped = 0
        for vm in running:
            reason = must_stop.reason(vm.user_id)
            stop = warned.pop(vm.id, None)
            if reason is None:
                await self._take_back(stop)
            elif stop is None:
                await self._warn(vm, reason, now)
            elif stop.stop_at <= now:
                stopped += await self._stop(vm, reason)
        for stop in warned.values():
            await self._db.delete(SpendingStop, {"_id": stop.id})
        return stopped

    @activity.defn
    async def tell_alert(self, alert_id: str) -> None:
        await self._webhooks.deliver(alert_id)

    @activity.defn
    async def give_up_alert(self, alert_id: str) -> None:
        """Nobody took it: the alert itself stays where it can be asked for."""
        log.error("an alert could not be told outside", extra={"alert": alert_id})
        await self._webhooks.settle(alert_id)

    async def _warn(self, vm: Vm, reason: str, now: datetime) -> None:
        stop_at = now + self._grace
        warning = f"{reason}: this machine is stopped at {stop_at:%H:%M:%S} UTC, its saves first"
        await self._db.replace(SpendingStop(id=vm.id, stop_at=stop_at, warning=warning))
        await self._db.update(Vm, {"_id": vm.id, "status": VmStatus.RUNNING}, {"$set": {"warning": warning}})
        log.warning("machine will be stopped", extra={"vm": vm.id, "why": reason})

    async def _stop(self, vm: Vm, reason: str) -> int:
        """A machine that cannot be asked now is asked again in the next round."""
        try:
            async with accounted(self._db, by_the_service("spending", "stopVm", vm.id, reason)):
                await self._fleet.command(vm, Command.STOP, reason)
        except GatewayError as error:
            log.warning("machine could not be stopped yet", extra={"vm": vm.id, "why": error.message})
            return 0
        await self._db.delete(SpendingStop, {"_id": vm.id})
        return 1

    async def _take_back(self, stop: SpendingStop | None) -> None:
        if stop is not None:
            await self._db.update(Vm, {"_id": stop.id, "warning": stop.warning}, {"$set": {"warning": None}})
            await self._db.delete(SpendingStop, {"_id": stop.id})
