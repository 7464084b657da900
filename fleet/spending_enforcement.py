"""Enforces spending limits: raises and delivers alerts, and stops what a hard limit forbids after a warning."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from temporalio import activity

from billing.alerts import Alerts
from billing.limits import SpendingLimits
from billing.webhooks import AlertWebhooks
from errors import ConflictError, GatewayError, UnreadableRecordError
from fleet.balance import BalanceGuard
from fleet.health import Health
from fleet.inputs import AlertRef
from fleet.messages import Command
from fleet.service import MachineService
from models.audit import audit_span, service_entry
from models.database import Database
from models.launches import Launch, LaunchStatus
from models.limits import SpendingStop
from models.vms import Vm, VmStatus

log = logging.getLogger(__name__)

_GRACE: Final = timedelta(minutes=2)
_TURN: Final = timedelta(seconds=30)  # time for the worker that ends something; if it dies, another one may after that


class Cancelling(Protocol):
    """Cancels launches, as launch.service.LaunchService does."""

    async def cancel(self, launch: Launch, why: str | None = None) -> Launch: ...


class Spending:
    """The activities. Each may be repeated, by several workers at once."""

    def __init__(
        self,
        db: Database,
        fleet: MachineService,
        launches: Cancelling,
        webhooks: AlertWebhooks,
        *,
        grace: timedelta = _GRACE,
    ) -> None:
        """Set up the activities. `grace` is how long before a stop the player is warned."""
        self._db = db
        self._fleet = fleet
        self._launches = launches
        self._webhooks = webhooks
        self._grace = grace
        self._alerts = Alerts(db)
        self._limits = SpendingLimits(db)
        self._balance = BalanceGuard(db)
        self._health = Health(db)

    @activity.defn(name="raise_alerts")
    async def raise_alerts(self) -> list[str]:
        """Check all limits, balances and machines with alerts; return the ids of the alerts to deliver.

        Unreadable records in one part do not keep the others from their work.
        """
        for part in (self._check_balances, self._health.clear_settled, self._raise_due):
            try:
                await part()
            except UnreadableRecordError as error:
                log.error("failed to check some alerts", extra={"why": error.message})
        return await self._webhooks.find_unsent()

    @activity.defn(name="stop_what_must")
    async def enforce_hard_limits(self) -> int:
        """Enforce hard limits and return the number of stopped machines and cancelled launches.

        Warns the players whose hard limit is reached, ends what was warned of long enough ago, and withdraws warnings
        that no longer apply.
        """
        now = datetime.now(UTC)
        must_stop = await self._limits.find_must_stop(now)
        stops, _ = await self._db.find_readable(SpendingStop, {})
        warned = {stop.id: stop for stop in stops}
        ended = 0
        for spender in await self._find_spenders():
            reason = must_stop.reason(spender.user_id)
            stop = warned.pop(spender.id, None)
            if reason is None:
                await self._take_back(stop)
            elif stop is None:
                await self._warn(spender, reason, now)
            elif stop.stop_at <= now:
                ended += await self._end(spender, stop, reason, now)
        for stop in warned.values():
            await self._take_back(stop)
        return ended

    @activity.defn(name="tell_alert")
    async def deliver_alert(self, alert: AlertRef) -> None:
        await self._webhooks.deliver(alert.alert_id)

    @activity.defn(name="give_up_alert")
    async def give_up_alert(self, alert: AlertRef) -> None:
        """Give up delivery. The alert itself remains available in the API."""
        log.error("alert was not delivered", extra={"alert": alert.alert_id})
        await self._webhooks.mark_sent(alert.alert_id)

    async def _check_balances(self) -> None:
        await self._balance.check(datetime.now(UTC))

    async def _raise_due(self) -> None:
        for alert in await self._alerts.raise_all_due(datetime.now(UTC)):
            log.warning("spending alert", extra={"level": alert.level, "why": alert.message, "user": alert.user_id})

    async def _find_spenders(self) -> list[Vm | Launch]:
        """Return what costs money now, or will soon.

        Launches are read first: one that becomes ready in between is found as its machine.
        """
        begun = {"status": {"$in": [LaunchStatus.QUEUED, LaunchStatus.RUNNING]}}
        launches, _ = await self._db.find_readable(Launch, begun)
        vms, _ = await self._db.find_readable(Vm, {"status": VmStatus.RUNNING})
        return [*launches, *vms]

    async def _warn(self, spender: Vm | Launch, reason: str, now: datetime) -> None:
        stop_at = now + self._grace
        at = f"at {stop_at:%H:%M:%S} UTC"
        what = f"machine is stopped {at}, its saves first" if isinstance(spender, Vm) else f"launch is cancelled {at}"
        warning = f"{reason}: this {what}"
        unmoved = {"_id": spender.id, "status": spender.status}

        async def warn() -> None:
            await self._db.insert(SpendingStop(id=spender.id, stop_at=stop_at, warning=warning))
            await self._db.update(type(spender), unmoved, {"$set": {"warning": warning}})

        try:
            await self._db.transaction(warn)
        except ConflictError:
            return  # warned by another worker at the same time
        log.warning("warned that spending will be stopped", extra={_word(spender): spender.id, "why": reason})

    async def _end(self, spender: Vm | Launch, stop: SpendingStop, reason: str, now: datetime) -> int:
        """End one machine or launch, by one of several workers. A failure is repeated in the next round."""
        due = {"_id": stop.id, "stop_at": stop.stop_at}
        if await self._db.update(SpendingStop, due, {"$set": {"stop_at": now + _TURN}}) is None:
            return 0
        try:
            if isinstance(spender, Vm):
                async with audit_span(self._db, service_entry("spending", "stopVm", spender.id, reason)):
                    await self._fleet.command(spender, Command.STOP, reason)
            else:
                async with audit_span(self._db, service_entry("spending", "cancelLaunch", spender.id, reason)):
                    await self._launches.cancel(spender, reason)
        except GatewayError as error:
            log.warning("failed to stop spending, retrying", extra={_word(spender): spender.id, "why": error.message})
            return 0
        await self._db.delete(SpendingStop, {"_id": spender.id})
        return 1

    async def _take_back(self, stop: SpendingStop | None) -> None:
        """Withdraw the warning, because there is money again, or the machine or launch has ended by itself."""
        if stop is None:
            return
        for model in (Vm, Launch):
            await self._db.update_many(model, {"_id": stop.id, "warning": stop.warning}, {"$set": {"warning": None}})
        await self._db.delete(SpendingStop, {"_id": stop.id})


def _word(spender: Vm | Launch) -> str:
    return "machine" if isinstance(spender, Vm) else "launch"
