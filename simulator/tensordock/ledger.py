"""The prepaid balance. It runs in real time at every clock factor, so that bills agree with a client's meter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from simulator.tensordock.instances import Instance

NEEDED_TO_ORDER_USD: Final = Decimal(1)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Ledger:
    """`balance_usd` is true as of the last settling."""

    balance_usd: Decimal
    spent_usd: Decimal = Decimal(0)
    now: Callable[[], datetime] = field(default=utc_now)

    def settle(self, instances: Iterable[Instance]) -> None:
        """Charge machines up to now. Comes before every change that their price depends on."""
        now = self.now()
        for instance in instances:
            usd = instance.settle(now)
            self.balance_usd -= usd
            self.spent_usd += usd
