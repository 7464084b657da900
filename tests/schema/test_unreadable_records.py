"""A record that this version cannot read harms only itself: lists leave it out and say so, and asked for by its id it
says why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from auth.callers import Caller
from models.launches import Launch
from models.vms import Vm
from schema.ids import global_id
from tests.gateway import ANN, BOB, OPERATOR, GatewayWorld, a_launch, a_vm

STRANGE, KNOWN, OLDER = "200000000000000003", "200000000000000002", "200000000000000001"
LAUNCH = "100000000000000001"
REASON = "this version cannot read status"


@pytest.fixture
async def world(gateway: GatewayWorld) -> GatewayWorld:
    """Ann has three machines and a launch. A newer version wrote the newest machine, and the launch."""
    for age, key in enumerate((STRANGE, KNOWN, OLDER)):
        vm = a_vm(key)
        vm.created_at -= timedelta(hours=age)
        await gateway.db.insert(vm)
    await gateway.db.insert(a_launch(LAUNCH))
    await gateway.db.update_many(Vm, {"_id": STRANGE}, {"$set": {"status": "HIBERNATED"}})
    await gateway.db.update_many(Launch, {"_id": LAUNCH}, {"$set": {"status": "PAUSED"}})
    return gateway


def ids(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in connection["edges"]]


async def test_a_list_leaves_it_out_and_names_it(world: GatewayWorld) -> None:
    machines, launches = await world.ask("Vms"), await world.ask("Launches")

    assert "errors" not in machines
    assert ids(machines["data"]["vms"]) == [global_id("VM", KNOWN), global_id("VM", OLDER)]
    assert machines["extensions"]["unreadable"] == [{"id": global_id("VM", STRANGE), "reason": REASON}]
    assert ids(launches["data"]["launches"]) == []
    assert launches["extensions"]["unreadable"] == [{"id": global_id("Launch", LAUNCH), "reason": REASON}]


async def test_a_page_is_full_without_it(world: GatewayWorld) -> None:
    connection = (await world.data("Vms", first=1))["vms"]

    assert ids(connection) == [global_id("VM", KNOWN)]
    assert connection["pageInfo"]["hasNextPage"] is True


async def test_a_list_without_it_says_nothing(world: GatewayWorld) -> None:
    answer = await world.ask("Vms", BOB)

    assert (ids(answer["data"]["vms"]), "unreadable" in answer["extensions"]) == ([], False)


@pytest.mark.parametrize("caller", [ANN, OPERATOR], ids=["its owner", "an operator"])
@pytest.mark.parametrize(
    ("document", "id"), [("Vm", global_id("VM", STRANGE)), ("Launch", global_id("Launch", LAUNCH))]
)
async def test_asked_for_by_its_id_it_says_why(world: GatewayWorld, caller: Caller, document: str, id: str) -> None:
    error = await world.error(document, caller, id=id)

    assert (error["extensions"]["code"], error["message"]) == ("UNREADABLE_RECORD", REASON)


@pytest.mark.parametrize(
    ("document", "id"), [("Vm", global_id("VM", STRANGE)), ("Launch", global_id("Launch", LAUNCH))]
)
async def test_for_others_it_is_not_there(world: GatewayWorld, document: str, id: str) -> None:
    (found,) = (await world.data(document, BOB, id=id)).values()

    assert found is None
