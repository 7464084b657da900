"""What the warm pool may still cost today and tomorrow: the most that its machines can, not what they probably do.

A machine that is being prepared or deleted counts at its full price for as long as that may take, a machine that is
ready at its storage for the rest of the day. What was metered today counts as metered. An order that the meter does not
have yet counts from its beginning: a cloud may take an hour to set the machine up before it confirms the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from billing.amounts import DAY, midnight, round_usd, sum_exactly, usage_between
from billing.rollups import find_overlapping
from models.database import Database
from models.usage import WARM_USER
from models.warm_machines import WarmStatus

PREPARE_WITHIN: Final = timedelta(minutes=75)
DELETED_WITHIN: Final = timedelta(minutes=15)
_HOUR: Final = timedelta(hours=1)


class Costing(Protocol):
    """The part of a WarmMachine that decides what it costs."""

    @property
    def status(self) -> WarmStatus: ...
    @property
    def usd_per_hour(self) -> Decimal: ...
    @property
    def usd_per_hour_stopped(self) -> Decimal: ...
    @property
    def provider_id(self) -> str | None: ...
    @property
    def ordered_at(self) -> datetime | None: ...
    @property
    def prepare_until(self) -> datetime: ...
    @property
    def ready_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that the pool costs today and tomorrow, in UTC days."""

    today_usd: Decimal
    tomorrow_usd: Decimal

    def plus(self, other: Budget) -> Budget:
        return Budget(self.today_usd + other.today_usd, self.tomorrow_usd + other.tomorrow_usd)

    def minus(self, other: Budget) -> Budget:
        return Budget(self.today_usd - other.today_usd, self.tomorrow_usd - other.tomorrow_usd)

    def is_within(self, ceiling_usd: Decimal) -> bool:
        return max(self.today_usd, self.tomorrow_usd) <= ceiling_usd


async def read_spent_today(db: Database, now: datetime) -> Decimal:
    """Return what the pool was metered for since midnight, UTC, in USD."""
    start = midnight(now)
    intervals = await find_overlapping(db, start, now, WARM_USER)
    return round_usd(sum_exactly(usage_between(each, start, now).usd_ms for each in intervals))


def committed(spent_today_usd: Decimal, machines: Iterable[Costing], now: datetime) -> Budget:
    """Return the most that these machines cost, with what was spent today."""
    total = Budget(spent_today_usd, Decimal(0))
    for machine in machines:
        total = total.plus(most_of(machine, now))
    return total


def most_of(machine: Costing, now: datetime) -> Budget:
    """Return the most that a machine can cost from now on, with what it costs already without being metered."""
    tomorrow = midnight(now) + DAY
    today = _most_between(machine, now, _since(machine, now), tomorrow)
    return Budget(today, _most_between(machine, now, tomorrow, tomorrow + DAY))


def _since(machine: Costing, now: datetime) -> datetime:
    """Return since when the machine's costs of today are not metered."""
    # The id and the beginning of the usage are written together, when the cloud confirms the order.
    if machine.provider_id is not None or machine.ordered_at is None:
        return now
    return min(now, max(midnight(now), machine.ordered_at))


def _most_between(machine: Costing, now: datetime, start: datetime, end: datetime) -> Decimal:
    full_until, stops = _phases(machine, now)
    full = _hours(start, min(end, full_until)) * machine.usd_per_hour
    if stops is None:
        return full + _hours(max(start, full_until), end) * machine.usd_per_hour_stopped
    return full + _hours(max(start, full_until), min(end, stops)) * machine.usd_per_hour_stopped


def _phases(machine: Costing, now: datetime) -> tuple[datetime, datetime | None]:
    """Return until when the machine may be on, and when it is gone at the latest; None if it is kept."""
    match machine.status:
        case WarmStatus.PREPARING:
            return max(now, machine.prepare_until) + DELETED_WITHIN, None
        case WarmStatus.READY:
            return now, None
        case WarmStatus.RELEASING:
            gone = now + DELETED_WITHIN
            return (gone if machine.ready_at is None else now), gone
        case WarmStatus.TAKEN | WarmStatus.RELEASED:
            return now, now


def _hours(start: datetime, end: datetime) -> Decimal:
    seconds = Decimal(str(max(timedelta(0), end - start).total_seconds()))
    return seconds / Decimal(int(_HOUR.total_seconds()))


def over_ceiling(machines: Sequence[Costing], budget: Budget, ceiling_usd: Decimal, now: datetime) -> list[int]:
    """Return the places in the list of the machines that must go, from its end, so that the rest fits."""
    leave: list[int] = []
    for place in reversed(range(len(machines))):
        if budget.is_within(ceiling_usd):
            break
        budget = budget.minus(most_of(machines[place], now))
        leave.append(place)
    return leave
