"""What a VM has used, summed exactly."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from billing.usage_totals import NO_USAGE, Usage, sum_usage, usage_of
from models.catalog import ConsoleType
from models.database import Database
from models.usage import UsageInterval, UsageState
from providers.base import ProviderName
from tests.gateway import NOON

HOUR = timedelta(hours=1)


def interval(
    number: int,
    state: UsageState,
    start: datetime,
    end: datetime | None,
    machine: str = "0.40",
    storage: str = "0.05",
    vm_id: str = "1",
) -> UsageInterval:
    return UsageInterval(
        id=f"{vm_id}:{number}",
        vm_id=vm_id,
        number=number,
        user_id="ann",
        provider=ProviderName.TENSORDOCK,
        console=ConsoleType.NES,
        state=state,
        start=start,
        end=end,
        machine_usd_per_hour=Decimal(machine),
        storage_usd_per_hour=Decimal(storage),
    )


def test_running_counts_fully_and_stopped_as_storage() -> None:
    intervals = [
        interval(1, UsageState.RUNNING, NOON, NOON + HOUR),
        interval(2, UsageState.STOPPED, NOON + HOUR, NOON + 3 * HOUR, machine="0"),
        interval(3, UsageState.RUNNING, NOON + 3 * HOUR, None),
    ]

    used = sum_usage(intervals, NOON + 4 * HOUR)

    assert used == Usage(running_seconds=7200, cost_usd=Decimal("1.000000"))


def test_the_sum_is_rounded_once_and_not_per_interval() -> None:
    second = timedelta(seconds=1)
    intervals = [
        interval(n, UsageState.RUNNING, NOON + n * second, NOON + (n + 1) * second, "0.001", "0") for n in range(3600)
    ]

    assert sum_usage(intervals, NOON + HOUR).cost_usd == Decimal("0.001000")


def test_what_lies_in_the_future_counts_as_nothing() -> None:
    assert sum_usage([interval(1, UsageState.RUNNING, NOON + HOUR, None)], NOON) == NO_USAGE


async def test_each_vm_gets_its_own_sum_and_one_without_usage_none(db: Database) -> None:
    await db.insert(interval(1, UsageState.RUNNING, NOON, NOON + HOUR, vm_id="1"))
    await db.insert(interval(1, UsageState.RUNNING, NOON, None, vm_id="2"))

    used = await usage_of(db, ["1", "2", "3"], NOON + 2 * HOUR)

    assert used == {"1": Usage(3600, Decimal("0.450000")), "2": Usage(7200, Decimal("0.900000"))}
