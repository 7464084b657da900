"""Warnings before a prepaid balance ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.operator_alerts import OperatorAlerts
from fleet.balance import BalanceGuard, time_left
from models.billed import BalanceSample
from models.database import Database
from models.operator_alerts import OperatorAlert
from models.vms import VmStatus
from models.warm_machines import WarmStatus
from providers.base import ProviderName
from tests.fleet.warm_pool.pool import a_machine
from tests.gateway import a_vm

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
async def machines(db: Database) -> Database:
    """Two that run for 0.50 USD an hour without estimated traffic, and one whose disk costs 0.10."""
    await db.insert(a_vm("1", usd_per_hour=Decimal("0.30"), usd_per_hour_egress=Decimal("0.10")))
    await db.insert(a_vm("2", usd_per_hour=Decimal("0.30")))
    stopped: dict[str, Any] = {"status": VmStatus.STOPPED, "usd_per_hour_stopped": Decimal("0.10")}
    await db.insert(a_vm("3", **stopped))
    return db


async def look(db: Database, usd: str, *, age: timedelta = timedelta(0)) -> list[tuple[str, str]]:
    """The open alerts after a look at this balance, by level and message."""
    at = NOW - age
    sample = BalanceSample(id=f"s:{usd}:{at}", provider=ProviderName.TENSORDOCK, at=at, usd=Decimal(usd))
    await db.delete(BalanceSample, {})
    await db.insert(sample)
    await BalanceGuard(db).check(NOW)
    found = await OperatorAlerts(db).find_newest(with_cleared=False, limit=10)
    return [(alert.level, alert.message) for alert in found]


async def test_a_balance_below_an_hour_warns_and_below_a_quarter_is_critical(machines: Database) -> None:
    assert await look(machines, "0.61") == []
    (warned,) = await look(machines, "0.59")
    (critical,) = await look(machines, "0.14")

    assert warned == ("WARNING", "TENSORDOCK's balance of 0.59 USD lasts for 59 minutes at 0.60 USD an hour")
    assert critical == ("CRITICAL", "TENSORDOCK's balance of 0.14 USD lasts for 14 minutes at 0.60 USD an hour")


async def test_a_deposit_clears_the_alert(machines: Database) -> None:
    await look(machines, "0.14")

    assert await look(machines, "50") == []
    assert await machines.count(OperatorAlert, {}) == 1


async def test_the_age_of_a_sample_counts_and_an_old_one_says_nothing(machines: Database) -> None:
    (level, message), *_ = await look(machines, "0.20", age=timedelta(minutes=10))
    assert (level, "lasts for 9 minutes" in message or "lasts for 10 minutes" in message) == ("CRITICAL", True)

    assert len(await look(machines, "50", age=timedelta(hours=1))) == 1  # unknown: what was said stays


async def test_machines_of_the_warm_pool_use_up_the_balance_too(db: Database) -> None:
    prices: dict[str, Any] = {"usd_per_hour": Decimal("0.40"), "usd_per_hour_stopped": Decimal("0.05")}
    ordered = {**prices, "ordered_at": NOW}
    ready = {**ordered, "provider_id": "m1", "ready_at": NOW}
    for machine in (
        a_machine(**ordered),
        a_machine(**ready, status=WarmStatus.READY),
        a_machine(**ready, status=WarmStatus.RELEASING),
        a_machine(**ordered, status=WarmStatus.RELEASING),
        a_machine(**prices),  # not ordered yet
        a_machine(**ready, status=WarmStatus.TAKEN),  # its VM costs
        a_machine(**ready, status=WarmStatus.READY, provider=ProviderName.CLOUDYPAD),
    ):
        await db.insert(machine)

    ((_, message),) = await look(db, "0.45")

    assert message == "TENSORDOCK's balance of 0.45 USD lasts for 30 minutes at 0.90 USD an hour"


@pytest.mark.parametrize(
    ("usd", "burn", "age_minutes", "left"),
    [
        ("1", "2", 0, timedelta(minutes=30)),
        ("1", "2", 40, timedelta(0)),
        ("-1", "0", 0, timedelta(0)),
        ("1", "0", 0, timedelta(days=365)),
        ("1000000", "0.01", 0, timedelta(days=365)),
    ],
)
def test_how_long_a_balance_lasts(usd: str, burn: str, age_minutes: int, left: timedelta) -> None:
    assert time_left(Decimal(usd), Decimal(burn), timedelta(minutes=age_minutes)) == left
