"""Spending alerts: raised at 80 % and 100 % of a limit, and when the forecast exceeds it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from billing.amounts import EXACT, tidy
from billing.limits import SpendingLimits, describe, period_of
from billing.windows import month_of
from errors import ConflictError
from models.change_feed import ChangeFeed
from models.database import Database
from models.limits import ALERTS, AlertLevel, LimitPeriod, SpendingAlert, SpendingLimit, find_limits, limit_id

_WARNING_AT: Final = Decimal("0.8")
_CENT: Final = Decimal("0.01")


class Alerts:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._limits = SpendingLimits(db)

    async def raise_due(self, limits: Iterable[SpendingLimit], now: datetime) -> list[SpendingAlert]:
        """Raise the alerts that are due for these limits and return those that this call raised.

        Another process may have been faster.
        """
        raised = []
        for limit in limits:
            alert = await self._find_due(limit, now)
            if alert is not None and await self._is_first(alert):
                raised.append(alert)
        return raised

    async def raise_all_due(self, now: datetime) -> list[SpendingAlert]:
        return await self.raise_due(await self._limits.all(None), now)

    async def current(self, user_id: str | None, *, everybody: bool, now: datetime) -> list[SpendingAlert]:
        """Return the alerts of the current day and month, newest first: one user's, the platform's, or all."""
        await self.raise_due(await find_limits(self._db, user_id), now)
        owner = {} if everybody else {"user_id": user_id}
        this_month = {**owner, "raised_at": {"$gte": month_of(now).start}}
        found, _ = await self._db.find_readable(SpendingAlert, this_month)
        running = [alert for alert in found if alert.period_start == period_of(alert.period, now).start]
        return sorted(running, key=lambda alert: (alert.raised_at, alert.id), reverse=True)

    async def preview(self, usd: dict[LimitPeriod, Decimal], user_id: str | None, now: datetime) -> list[SpendingAlert]:
        """Return the alerts that limits of these amounts would raise now, without raising them."""
        limits = [
            SpendingLimit(id=limit_id(period, user_id), period=period, user_id=user_id, usd=amount, set_at=now)
            for period, amount in usd.items()
        ]
        return [alert for limit in limits if (alert := await self._find_due(limit, now)) is not None]

    async def _is_first(self, alert: SpendingAlert) -> bool:
        if await self._db.count(SpendingAlert, {"_id": alert.id}) > 0:
            return False
        try:
            await self._db.insert(alert)
        except ConflictError:
            return False
        return True

    async def _find_due(self, limit: SpendingLimit, now: datetime) -> SpendingAlert | None:
        spending = await self._limits.spending(limit, now)
        spent, forecast = spending.total_usd, spending.forecast_usd or spending.total_usd
        level = _level(limit.usd, spent, forecast)
        if level is None:
            return None
        start = period_of(limit.period, now).start
        return SpendingAlert(
            id=f"{limit.period}:{start:%Y-%m-%d}:{level}:{tidy(limit.usd)}:{limit.user_id or ''}",
            level=level,
            period=limit.period,
            period_start=start,
            user_id=limit.user_id,
            limit_usd=limit.usd,
            spent_usd=spent,
            forecast_usd=forecast,
            message=_message(limit, level, spent, forecast),
            raised_at=now,
        )


class AlertFeed:
    """Alerts of all processes as they are raised, through one change stream per process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._feed = ChangeFeed(db, SpendingAlert, "channel", ["insert"])

    @property
    def followers(self) -> int:
        return self._feed.listeners

    async def close(self) -> None:
        await self._feed.close()

    async def follow(self, user_id: str | None) -> AsyncGenerator[SpendingAlert, None]:
        """Yield the alerts of one user, or all for None, from now on without end."""
        since, seen = datetime.now(UTC), set[str]()
        async with self._feed.listen(ALERTS) as live:
            while True:
                told = await live.next()
                for alert in await self._find_missed(since) if told is None else [told]:
                    if user_id in {None, alert.user_id} and alert.id not in seen:
                        seen.add(alert.id)
                        yield alert

    async def _find_missed(self, since: datetime) -> list[SpendingAlert]:
        found, _ = await self._db.find_readable(SpendingAlert, {"raised_at": {"$gte": since}}, sort=[("raised_at", 1)])
        return found


def _level(limit_usd: Decimal, spent_usd: Decimal, forecast_usd: Decimal) -> AlertLevel | None:
    if spent_usd >= limit_usd:
        return AlertLevel.CRITICAL
    if spent_usd >= EXACT.multiply(limit_usd, _WARNING_AT):
        return AlertLevel.WARNING
    return AlertLevel.INFO if forecast_usd > limit_usd else None


def _message(limit: SpendingLimit, level: AlertLevel, spent: Decimal, forecast: Decimal) -> str:
    words = describe(limit)
    amount, now, then = tidy(limit.usd), _round_for_display(spent, limit.usd), _round_for_display(forecast, limit.usd)
    match level:
        case AlertLevel.CRITICAL:
            return f"{words} of {amount} USD is reached: {now} USD has been spent"
        case AlertLevel.WARNING:
            return f"{words} of {amount} USD is nearly reached: {now} USD has been spent"
    return f"{words} of {amount} USD will be exceeded: {then} USD are expected at the end of the period"


def _round_for_display(usd: Decimal, limit_usd: Decimal) -> Decimal:
    """Round to cents, or as finely as the limit: with a limit of a tenth of a cent, the amount would be zero."""
    finest = min(_CENT, Decimal((0, (1,), int(limit_usd.as_tuple().exponent))))
    return EXACT.quantize(usd, finest)
