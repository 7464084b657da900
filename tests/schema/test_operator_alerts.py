"""What operators ask and follow of alerts that are not about money limits."""

from __future__ import annotations

import asyncio

from billing.operator_alerts import OperatorAlerts
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from schema.ids import global_id
from tests.gateway import ANN, OPERATOR, SERVICE, GatewayWorld

UNREACHABLE = OperatorAlertCode.MACHINE_UNREACHABLE
VM = "200000000000000001"


async def test_open_alerts_are_listed_with_the_id_of_the_vm_and_cleared_ones_when_asked_for(
    gateway: GatewayWorld,
) -> None:
    alerts = OperatorAlerts(gateway.db)
    await alerts.raise_alert(AlertLevel.WARNING, UNREACHABLE, VM, "it does not respond")
    await alerts.raise_alert(AlertLevel.CRITICAL, OperatorAlertCode.BALANCE_LOW, "TENSORDOCK", "ten minutes")
    await alerts.clear(OperatorAlertCode.BALANCE_LOW, "TENSORDOCK")

    opened = (await gateway.data("OperatorAlerts", OPERATOR))["operatorAlerts"]
    every = (await gateway.data("OperatorAlerts", OPERATOR, includeCleared=True))["operatorAlerts"]

    (alert,) = opened
    assert alert.pop("raisedAt") is not None
    assert alert == {
        "level": "WARNING",
        "code": "MACHINE_UNREACHABLE",
        "message": "it does not respond",
        "subjectId": global_id("VM", VM),
        "clearedAt": None,
    }
    assert [(each["code"], each["clearedAt"] is None) for each in every] == [
        ("BALANCE_LOW", False),
        ("MACHINE_UNREACHABLE", True),
    ]


async def test_only_operators_see_them_and_a_page_has_bounds(gateway: GatewayWorld) -> None:
    for caller in (ANN, SERVICE):
        assert (await gateway.error("OperatorAlerts", caller))["extensions"]["code"] == "FORBIDDEN"
    error = await gateway.error("OperatorAlerts", OPERATOR, limit=0)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "limit"}


async def test_a_follower_sees_an_alert_raised_and_cleared(gateway: GatewayWorld) -> None:
    alerts = OperatorAlerts(gateway.db)
    stream = await gateway.follow("OperatorAlertChanged", OPERATOR)
    first = asyncio.ensure_future(anext(stream))
    feed = gateway.services.operator_alerts._feed
    async with asyncio.timeout(20):
        while not (feed.is_following and feed._open.is_set()):  # noqa: ASYNC110 - each opening has an event of its own
            await asyncio.sleep(0.01)

    await alerts.raise_alert(AlertLevel.WARNING, UNREACHABLE, VM, "it does not respond")
    raised = (await asyncio.wait_for(first, 20))["data"]["operatorAlerts"]
    await alerts.clear(UNREACHABLE, VM)
    cleared = (await asyncio.wait_for(anext(stream), 20))["data"]["operatorAlerts"]

    assert (raised["code"], raised["clearedAt"]) == ("MACHINE_UNREACHABLE", None)
    assert (cleared["raisedAt"], cleared["clearedAt"] is None) == (raised["raisedAt"], False)
    await stream.aclose()
    assert gateway.services.operator_alerts.followers == 0
