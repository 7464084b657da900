"""Spending limits and their alerts."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing.alerts import Alerts
from billing.limits import SpendingLimits
from errors import SpendingLimitError
from models.database import Database
from models.limits import AlertLevel, LimitPeriod, SpendingAlert
from models.roles import Role
from models.usage import UsageInterval
from tests.billing.exact import an_interval, utc

OLGA = ("olga", Role.OPERATOR)
NOON = utc(2026, 5, 15, 12)


@pytest.fixture
async def limits(db: Database) -> SpendingLimits:
    return SpendingLimits(db)


async def spend(db: Database, usd: str, start: datetime = NOON - timedelta(hours=1), user_id: str = "ann") -> None:
    """In one hour."""
    number = len(await db.find(UsageInterval, {})) + 1
    price = {"machine_usd_per_hour": usd, "storage_usd_per_hour": "0", "user_id": user_id}
    await db.insert(an_interval("1", number, start, start + timedelta(hours=1), **price))


@pytest.mark.parametrize(
    ("usd", "level"),
    [("7.99", None), ("8.00", AlertLevel.WARNING), ("9.99", AlertLevel.WARNING), ("10.00", AlertLevel.CRITICAL)],
)
async def test_an_alert_is_due_from_eighty_and_from_a_hundred_percent(
    db: Database, limits: SpendingLimits, usd: str, level: AlertLevel | None
) -> None:
    limit = await limits.set(LimitPeriod.MONTHLY, Decimal(10), "ann", hard=False, by=OLGA)
    await spend(db, usd)

    raised = await Alerts(db).raise_due([limit], NOON)

    assert [alert.level for alert in raised] == ([] if level is None else [level])


async def test_a_forecast_above_the_limit_is_told_before_anything_is_spent(
    db: Database, limits: SpendingLimits
) -> None:
    limit = await limits.set(LimitPeriod.DAILY, Decimal(5), None, hard=False, by=OLGA)
    await db.insert(an_interval("1", 1, NOON - timedelta(hours=1), None))

    (alert,) = await Alerts(db).raise_due([limit], NOON)

    assert (alert.level, alert.spent_usd, alert.forecast_usd) == (AlertLevel.INFO, Decimal("0.45"), Decimal("5.85"))


async def test_each_level_is_raised_once_a_period_and_again_in_the_next(db: Database, limits: SpendingLimits) -> None:
    await limits.set(LimitPeriod.DAILY, Decimal(10), "ann", hard=False, by=OLGA)
    alerts, tomorrow = Alerts(db), NOON + timedelta(days=1)
    await spend(db, "9")

    first, again = await alerts.raise_all_due(NOON), await alerts.raise_all_due(NOON + timedelta(minutes=1))
    await spend(db, "2")
    higher = await alerts.raise_all_due(NOON + timedelta(minutes=2))
    nothing_yet = await alerts.raise_all_due(tomorrow)
    await spend(db, "9", tomorrow - timedelta(hours=1))
    next_day = await alerts.raise_all_due(tomorrow)

    levels = [[alert.level for alert in raised] for raised in (first, again, higher, nothing_yet, next_day)]
    assert levels == [["WARNING"], [], ["CRITICAL"], [], ["WARNING"]]


@pytest.mark.parametrize(
    ("limit_usd", "spent"), [("10", "10.12"), ("10.00", "10.12"), ("0.0001", "10.1235"), ("5.5", "10.12")]
)
async def test_a_message_tells_cents_or_as_much_as_the_limit_does(
    db: Database, limits: SpendingLimits, limit_usd: str, spent: str
) -> None:
    limit = await limits.set(LimitPeriod.DAILY, Decimal(limit_usd), "ann", hard=False, by=OLGA)
    await spend(db, "10.12346")

    (alert,) = await Alerts(db).raise_due([limit], NOON)

    assert alert.message.endswith(f"is reached: {spent} USD has been spent")


async def test_many_processes_that_look_at_once_raise_one_alert(db: Database, limits: SpendingLimits) -> None:
    await limits.set(LimitPeriod.MONTHLY, Decimal(1), None, hard=False, by=OLGA)
    await spend(db, "2")

    raised = await asyncio.gather(*(Alerts(db).raise_all_due(NOON) for _ in range(8)))

    assert sum(map(len, raised)) == 1
    assert len(await db.find(SpendingAlert, {})) == 1


async def test_a_month_counts_from_its_first_and_a_day_from_midnight(db: Database, limits: SpendingLimits) -> None:
    daily = await limits.set(LimitPeriod.DAILY, Decimal(10), "ann", hard=False, by=OLGA)
    monthly = await limits.set(LimitPeriod.MONTHLY, Decimal(10), "ann", hard=False, by=OLGA)
    await spend(db, "3", utc(2026, 4, 30, 23, 30))
    await spend(db, "4", utc(2026, 5, 14, 23, 30))

    assert (await limits.spending(daily, NOON)).total_usd == 2
    assert (await limits.spending(monthly, NOON)).total_usd == Decimal("5.5")


async def test_a_hard_limit_that_is_reached_refuses_and_says_how_much(db: Database, limits: SpendingLimits) -> None:
    now = datetime.now(NOON.tzinfo)
    await limits.set(LimitPeriod.MONTHLY, Decimal(10), "ann", hard=True, by=OLGA)
    await limits.check("ann")
    await spend(db, "36000000", now - timedelta(seconds=1))

    with pytest.raises(SpendingLimitError, match=r"the monthly spending limit of 10 USD is reached") as refused:
        await limits.check("ann")

    assert refused.value.limit == 10
    assert refused.value.spent > 10
    await limits.check("bob")


async def test_a_soft_limit_refuses_nobody(db: Database, limits: SpendingLimits) -> None:
    await limits.set(LimitPeriod.DAILY, Decimal(1), None, hard=False, by=OLGA)
    await spend(db, "5")

    await limits.check("ann")

    assert (await limits.find_must_stop(NOON)).reason("ann") is None


async def test_of_the_platforms_spending_a_user_learns_nothing(db: Database, limits: SpendingLimits) -> None:
    now = datetime.now(NOON.tzinfo)
    await limits.set(LimitPeriod.MONTHLY, Decimal(2), None, hard=True, by=OLGA)
    await spend(db, "36000000", now - timedelta(seconds=1), user_id="bob")

    with pytest.raises(SpendingLimitError) as refused:
        await limits.check("ann")

    assert [refused.value.limit, refused.value.spent] == [Decimal(2), Decimal(2)]


async def test_who_must_stop_is_told_for_one_user_and_for_everybody(db: Database, limits: SpendingLimits) -> None:
    await limits.set(LimitPeriod.DAILY, Decimal(2), "ann", hard=True, by=OLGA)
    await spend(db, "3")

    only_ann = await limits.find_must_stop(NOON)
    await limits.set(LimitPeriod.DAILY, Decimal(3), None, hard=True, by=OLGA)
    everybody = await limits.find_must_stop(NOON)

    assert (only_ann.reason("ann"), only_ann.reason("bob")) == ("the daily spending limit is reached", None)
    assert everybody.reason("bob") == "the platform's daily spending limit is reached"
