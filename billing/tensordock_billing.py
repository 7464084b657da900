"""Derives TensorDock's charges from regular samples of the prepaid balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, Protocol

from billing.amounts import EXACT, HOUR, PLACES, midnight
from models.billed import BalanceSample, BilledAmount, BilledState
from models.database import DESCENDING, Database
from providers.base import ProviderName

_MS: Final = timedelta(milliseconds=1)
_SOME: Final = 20  # samples of which one can be read


class Balance(Protocol):
    """A prepaid account, such as providers.tensordock.provider.TensorDock."""

    async def balance(self) -> Decimal | None:
        """Return the balance in USD, or None if this account does not report it. Raises ProviderError."""
        ...


class BalanceSampler:
    def __init__(self, db: Database, account: Balance, provider: ProviderName = ProviderName.TENSORDOCK) -> None:
        self._db = db
        self._account = account
        self._provider = provider

    async def sample(self, now: datetime) -> Decimal | None:
        """Read and store the balance, and derive the charges since the last sample."""
        usd = await self._account.balance()
        if usd is None:
            return None
        last = await self._last_before(now)
        at = now.replace(microsecond=now.microsecond // 1000 * 1000)
        await self._db.replace(
            BalanceSample(id=f"{self._provider}:{at.isoformat()}", provider=self._provider, at=at, usd=usd)
        )
        if last is not None:
            await self._derive(midnight(last.at))
        await self._db.replace(BilledState(id=self._provider, as_of=at))
        return usd

    async def _derive(self, since: datetime) -> None:
        """Derive the charges of all hours since then again from the samples."""
        before = await self._last_before(since)
        samples, _ = await self._db.find_readable(
            BalanceSample, {"provider": self._provider, "at": {"$gte": since}}, sort=[("at", 1)]
        )
        known = samples if before is None else [before, *samples]
        for hour, usd in spent_by_hour(known).items():
            if hour >= since:
                amount_id = f"{self._provider}:{hour:%Y-%m-%dT%H}:"
                await self._db.replace(BilledAmount(id=amount_id, provider=self._provider, at=hour, usd=usd))

    async def _last_before(self, moment: datetime) -> BalanceSample | None:
        found, _ = await self._db.find_readable(
            BalanceSample,
            {"provider": self._provider, "at": {"$gte": moment - timedelta(days=400), "$lt": moment}},
            sort=[("at", DESCENDING)],
            limit=_SOME,
        )
        return found[0] if found else None


def spent_by_hour(samples: Sequence[BalanceSample]) -> dict[datetime, Decimal]:
    """Return the decreases of the balance by hour, each spread evenly over the time between its samples.

    An increase is a deposit. Charges between the two samples around a deposit cannot be separated from it and count as
    zero, which is why samples are frequent.
    """
    spent: dict[datetime, Decimal] = defaultdict(Decimal)
    for one, next_ in pairwise(samples):
        fall = EXACT.subtract(one.usd, next_.usd)
        if fall > 0:
            for hour, usd in _spread(fall, one.at, next_.at):
                spent[hour] = EXACT.add(spent[hour], usd)
    return spent


def _spread(usd: Decimal, start: datetime, end: datetime) -> Iterable[tuple[datetime, Decimal]]:
    """Yield parts that add up to the whole."""
    ms, moment, done = (end - start) // _MS, start.astimezone(UTC), Decimal(0)
    while moment < end:
        hour = moment.replace(minute=0, second=0, microsecond=0)
        moment = min(hour + HOUR, end)
        share = EXACT.divide(EXACT.multiply(usd, Decimal((moment - start) // _MS)), Decimal(ms))
        so_far = usd if moment == end else EXACT.quantize(share, PLACES)
        yield hour, EXACT.subtract(so_far, done)
        done = so_far
