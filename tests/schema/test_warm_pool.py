"""Operators see and set the warm pool; its cost is a group of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fleet.warm_pool.metering import WarmMeter
from models.audit import AuditEntry
from models.usage import UsageState
from models.warm_machines import POOL_ID, WarmPool, WarmStatus
from schema.ids import global_id
from tests.billing.exact import an_interval
from tests.fleet.warm_pool.pool import a_machine
from tests.gateway import ANN, OPERATOR, GatewayWorld


async def test_an_operator_sets_the_ceiling_and_sees_the_machines(gateway: GatewayWorld) -> None:
    machine = a_machine(status=WarmStatus.READY, provider_id="m1")
    gone = a_machine(status=WarmStatus.TAKEN)
    await gateway.db.insert_many([machine, gone])

    changed = (await gateway.data("SetWarmPool", OPERATOR, input={"ceilingPerDay": "12.50"}))["setWarmPool"]
    pool = (await gateway.data("WarmPool", OPERATOR))["warmPool"]

    assert changed["errors"] == []
    assert (changed["warmPool"]["ceilingPerDay"], pool["ceilingPerDay"], pool["spentToday"]) == (
        "12.50",
        "12.50",
        "0.00",
    )
    (shown,) = pool["machines"]
    assert (shown["id"], shown["status"]) == (global_id("WarmMachine", machine.id), "READY")
    assert (shown["providerId"], shown["siteKey"], shown["hourlyPriceStopped"]) == ("m1", "dallas", "0.01")
    (entry,) = await gateway.db.find(AuditEntry, {"action": "setWarmPool"})
    assert entry.detail == "at most 12.50 USD a day"


@pytest.mark.parametrize("ceiling", ["-1", "10000.01", "1.00001"])
async def test_a_ceiling_that_is_not_allowed_changes_nothing(gateway: GatewayWorld, ceiling: str) -> None:
    payload = (await gateway.data("SetWarmPool", OPERATOR, input={"ceilingPerDay": ceiling}))["setWarmPool"]

    assert [error["path"] for error in payload["errors"]] == [["input", "ceilingPerDay"]]
    assert await gateway.db.get(WarmPool, POOL_ID) is None


async def test_players_neither_see_nor_set_it(gateway: GatewayWorld) -> None:
    seen = await gateway.error("WarmPool", ANN)
    changed = await gateway.error("SetWarmPool", ANN, input={"ceilingPerDay": "1"})

    assert [seen["extensions"]["code"], changed["extensions"]["code"]] == ["FORBIDDEN"] * 2


@pytest.mark.parametrize("group_by", ["PROVIDER", "CONSOLE", "USER", "VM"])
async def test_its_cost_is_the_group_warm_and_can_be_left_out(gateway: GatewayWorld, group_by: str) -> None:
    machine, now = a_machine(status=WarmStatus.RELEASED), datetime.now(UTC)
    meter = WarmMeter(gateway.db)
    await meter.record_state(machine, UsageState.RUNNING, now - timedelta(seconds=3))
    await meter.record_state(machine, None, now)
    days = {"start": str((now - timedelta(days=1)).date()), "end": str(now.date()), "groupBy": group_by}

    whole = (await gateway.data("CostReport", OPERATOR, **days))["costReport"]
    players = (await gateway.data("PlayerCostReport", OPERATOR, **days))["playerCostReport"]

    assert [line["group"] for line in whole["groups"]] == ["WARM"]
    assert Decimal(whole["total"]) == round(Decimal("0.424") * 3 / 3600, 12)
    assert (players["groups"], players["total"]) == ([], "0.00")


async def test_receipts_leave_it_out_and_equal_the_report_of_players(gateway: GatewayWorld) -> None:
    meter, now = WarmMeter(gateway.db), datetime.now(UTC)
    for machine in (a_machine(status=WarmStatus.RELEASED), a_machine(status=WarmStatus.RELEASED)):
        await meter.record_state(machine, UsageState.RUNNING, now - timedelta(seconds=3))
        await meter.record_state(machine, None, now)
    hour = timedelta(hours=1)
    await gateway.db.insert(an_interval("1", 1, now - hour, now, machine_usd_per_hour=Decimal("0.7")))
    days = {"start": str((now - timedelta(days=1)).date()), "end": str(now.date())}

    receipts = (await gateway.data("Receipts", OPERATOR, **days))["receipts"]
    players = (await gateway.data("PlayerCostReport", OPERATOR, **days))["playerCostReport"]

    assert [receipt["userId"] for receipt in receipts["receipts"]] == ["ann"]
    assert receipts["total"] == players["total"]
