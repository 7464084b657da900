"""Alerts for operators: open at most once, cleared when over, told outside twice."""

from __future__ import annotations

import asyncio

import pytest

from billing.operator_alerts import OperatorAlerts
from models.database import Database
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlert, OperatorAlertCode

LOW = OperatorAlertCode.BALANCE_LOW


@pytest.fixture
async def alerts(db: Database) -> OperatorAlerts:
    return OperatorAlerts(db)


async def raise_low(alerts: OperatorAlerts, level: AlertLevel = AlertLevel.WARNING) -> bool:
    return await alerts.raise_alert(level, LOW, "TENSORDOCK", "the balance lasts for 40 minutes")


async def test_an_alert_that_is_open_is_not_raised_again(alerts: OperatorAlerts) -> None:
    raised = [await raise_low(alerts) for _ in range(3)]

    assert raised == [True, False, False]
    assert [alert.code for alert in await alerts.find_newest(with_cleared=False, limit=10)] == [LOW]


async def test_processes_that_raise_the_same_alert_at_once_open_one(alerts: OperatorAlerts, db: Database) -> None:
    raised = await asyncio.gather(*(raise_low(OperatorAlerts(db)) for _ in range(5)))

    assert sorted(raised) == [False, False, False, False, True]
    assert await db.count(OperatorAlert, {}) == 1


async def test_a_cleared_alert_is_kept_and_can_be_raised_again(alerts: OperatorAlerts) -> None:
    await raise_low(alerts)

    cleared = [await alerts.clear(LOW, "TENSORDOCK") for _ in range(2)]
    again = await raise_low(alerts)

    newest = await alerts.find_newest(with_cleared=True, limit=10)
    assert (cleared, again) == ([True, False], True)
    assert [alert.cleared_at is None for alert in newest] == [True, False]
    assert [alert.cleared_at for alert in await alerts.find_newest(with_cleared=False, limit=10)] == [None]


async def test_a_worse_alert_replaces_the_one_that_is_open(alerts: OperatorAlerts) -> None:
    await raise_low(alerts)
    await raise_low(alerts, AlertLevel.CRITICAL)

    assert [alert.level for alert in await alerts.find_open_of(LOW)] == [AlertLevel.CRITICAL]
    assert len(await alerts.find_newest(with_cleared=True, limit=10)) == 2


async def test_alerts_about_other_subjects_are_untouched(alerts: OperatorAlerts) -> None:
    await raise_low(alerts)
    await alerts.raise_alert(AlertLevel.WARNING, OperatorAlertCode.MACHINE_UNREACHABLE, "1", "no answer")

    await alerts.clear(OperatorAlertCode.MACHINE_UNREACHABLE, "1")

    assert [alert.subject_id for alert in await alerts.find_newest(with_cleared=False, limit=10)] == ["TENSORDOCK"]
