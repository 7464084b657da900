"""What our meter says and what the simulated cloud charged, after a bad day, through the service as it is run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from models.database import Database
from models.usage import UsageInterval, UsageState
from schema.ids import key_of
from tests.e2e.service import Deployment, Gateway

pytestmark = pytest.mark.timeout(300)

_CENT = Decimal("0.01")
# A worker that is killed between the moment and its note costs the ten seconds until another one looks.
_LATE_S = 15
# A machine that vanished is charged for until then, and metered until its cloud was last seen to know it.
_UNSEEN_S = 40


async def test_the_meter_says_what_the_cloud_charged_after_a_bad_day(deployed: Deployment) -> None:
    gateway, worker = await deployed.gateway(), deployed.worker()
    await deployed.fault(kind="answer-lost", operation="create")
    commuter, doomed = await asyncio.gather(gateway.machine(userId="ann"), gateway.machine(userId="bob"))
    await deployed.fault(kind="answer-lost", operation="stop")
    await gateway.command("stop", commuter)
    await gateway.until(commuter, "STOPPED")

    await deployed.fault(kind="vanish", machine=(await gateway.vm(doomed))["providerId"])
    worker.kill()
    worker = deployed.worker()
    await gateway.until(doomed, "DELETED")
    await deployed.fault(kind="answer-lost", operation="start")
    await gateway.command("start", commuter)
    await gateway.until(commuter, "STARTING", "RUNNING")
    worker.kill()
    deployed.worker()
    await gateway.until(commuter, "RUNNING")
    await deployed.fault(kind="answer-lost", operation="delete")
    await gateway.command("delete", commuter)
    await gateway.until(commuter, "DELETED")

    bills, costs = await charged(deployed), await metered_costs(gateway)
    allowed = {key(commuter): _LATE_S, key(doomed): _UNSEEN_S}
    assert bills.keys() == costs.keys() == allowed.keys()
    for vm_id, seconds in allowed.items():
        usd, usd_per_hour = bills[vm_id]
        assert 0 < costs[vm_id] < _CENT * 10
        assert abs(costs[vm_id] - usd) < min(_CENT, usd_per_hour * seconds / 3600), (vm_id, costs[vm_id], usd)
    states, gaps = await intervals(deployed, key(commuter))
    assert states == [UsageState.RUNNING, UsageState.STOPPED, UsageState.RUNNING]
    assert gaps == [timedelta(0)] * 2


async def charged(deployed: Deployment) -> dict[str, tuple[Decimal, Decimal]]:
    """The cloud's own bill of each machine that is gone, by our VM's id, and what an hour of it cost."""
    async with deployed.http.get(f"{deployed.control_url}/orders") as reply:
        orders: list[dict[str, Any]] = (await reply.json())["orders"]
    assert all(order["ended_at"] for order in orders), orders
    bills: dict[str, tuple[Decimal, Decimal]] = {}
    for order in orders:
        vm_id = order["name"].rpartition("-")[2]
        before, _ = bills.get(vm_id, (Decimal(0), Decimal(0)))
        bills[vm_id] = (before + Decimal(order["billed_usd"]), Decimal(order["usd_per_hour"]))
    return bills


async def metered_costs(gateway: Gateway) -> dict[str, Decimal]:
    """By VM, as a report tells an operator; the test may run over midnight."""
    today = datetime.now(UTC).date()
    window = {"start": f"{today - timedelta(days=1)}", "end": f"{today}", "groupBy": "VM"}
    report = (await gateway.data("CostReport", window))["costReport"]
    assert sum(amounts(report["groups"])) == Decimal(report["total"])
    return {key(line["group"]): Decimal(line["amount"]) for line in report["groups"]}


def key(vm_id: str) -> str:
    """The digits of a VM's id."""
    found = key_of("VM", vm_id)
    assert found is not None
    return found


def amounts(lines: Iterable[dict[str, Any]]) -> list[Decimal]:
    return [Decimal(line["amount"]) for line in lines]


async def intervals(deployed: Deployment, vm_id: str) -> tuple[list[UsageState], list[timedelta]]:
    """The states of a VM on our meter, and how much time lies between one and the next."""
    db = Database(deployed.environment["MONGODB_ATLAS_URI"], deployed.environment["MONGODB_DATABASE"])
    try:
        found = await db.find(UsageInterval, {"vm_id": vm_id}, sort=[("number", 1)])
    finally:
        await db.close()
    gaps = [after.start - before.end for before, after in pairwise(found) if before.end is not None]
    return [each.state for each in found], gaps
