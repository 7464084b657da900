"""A field that fails takes nothing with it that other parts of the answer wait for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.usage import UsageInterval
from schema.execution.requests import RequestFailedError
from schema.ids import global_id
from tests.gateway import GatewayWorld, a_vm
from tests.interrupted import InterruptedFeed, InterruptedShelf

A, B = "200000000000000001", "200000000000000002"
WITH_AND_WITHOUT_COST = """query TwoVms($a: ID!, $b: ID!) {
  a: vm(id: $a) { status costSoFar site { __typename } }
  b: vm(id: $b) { status site { __typename } }
}"""


async def test_a_machine_whose_cost_cannot_be_read_leaves_the_other_machines_of_the_answer_whole(
    gateway: GatewayWorld,
) -> None:
    for key in (A, B):
        await gateway.db.insert(a_vm(key))
    await gateway.db.upsert(UsageInterval, {"_id": "broken"}, {"$set": {"vm_id": A, "start": "no moment"}})
    at_the_cloud = gateway.cloud.hold("sites")
    asking = asyncio.create_task(gateway.ask(WITH_AND_WITHOUT_COST, a=global_id("VM", A), b=global_id("VM", B)))
    await at_the_cloud.wait()
    for _ in range(5):  # the read of the usage, which fails, is answered before these
        await gateway.db.ping()

    gateway.cloud.let_go("sites")
    answer = await asking

    assert [error["path"] for error in answer["errors"]] == [["a", "costSoFar"]]
    assert answer["data"] == {"a": None, "b": {"status": "RUNNING", "site": {"__typename": "Hostnode"}}}
    assert gateway.cloud.calls["sites"] == 1


async def test_a_cancellation_that_nobody_asked_for_is_answered_as_internal(gateway: GatewayWorld) -> None:
    world = replace(gateway, services=replace(gateway.services, library=InterruptedShelf()))

    answer = await world.ask("Games")

    assert (answer["data"], [error["extensions"]["code"] for error in answer["errors"]]) == (None, ["INTERNAL"])


async def test_a_stream_that_breaks_by_such_a_cancellation_ends_with_internal(gateway: GatewayWorld) -> None:
    world = replace(gateway, services=replace(gateway.services, alerts=InterruptedFeed(gateway.db)))
    stream = await world.follow("SpendingAlertRaised")

    with pytest.raises(RequestFailedError) as broken:
        await anext(stream)

    assert [fault["extensions"]["code"] for fault in broken.value.faults] == ["INTERNAL"]


async def test_a_cancelled_request_stays_cancelled(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(A))
    at_the_cloud = gateway.cloud.hold("sites")
    asking = asyncio.create_task(gateway.ask("query($a: ID!) { vm(id: $a) { site { id } } }", a=global_id("VM", A)))
    await at_the_cloud.wait()

    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
