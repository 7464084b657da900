"""A player sees what is its own; what is somebody else's answers exactly as what does not exist."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import get_named_type

from auth.callers import Caller
from models.launches import LaunchStatus
from schema.execution.requests import RequestFailedError
from schema.ids import global_id
from schema.root import SCHEMA
from tests.gateway import ANN, BOB, OPERATOR, SERVICE, GatewayWorld, a_launch, a_vm, an_event

LAUNCH, VM, NOBODYS = "100000000000000001", "200000000000000001", "300000000000000001"
LAUNCH_ID, VM_ID = global_id("Launch", LAUNCH), global_id("VM", VM)


@pytest.fixture
async def anns(gateway: GatewayWorld) -> GatewayWorld:
    """Ann has a launch and a machine."""
    await gateway.db.insert(a_launch(LAUNCH, "ann", status=LaunchStatus.RUNNING, vm_id=VM))
    await gateway.db.insert(a_vm(VM, "ann"))
    await gateway.db.insert(an_event(LAUNCH, 1))
    return gateway


@pytest.mark.parametrize(
    ("document", "id"), [("Launch", LAUNCH_ID), ("Vm", VM_ID), ("Node", LAUNCH_ID), ("Node", VM_ID)]
)
async def test_the_owner_and_those_who_may_act_for_it_see_it(anns: GatewayWorld, document: str, id: str) -> None:
    for caller in (ANN, OPERATOR, SERVICE):
        (found,) = (await anns.data(document, caller, id=id)).values()

        assert found["id"] == id


@pytest.mark.parametrize(
    ("document", "id"), [("Launch", LAUNCH_ID), ("Vm", VM_ID), ("Node", LAUNCH_ID), ("Node", VM_ID)]
)
async def test_another_player_gets_the_answer_of_an_unknown_id(anns: GatewayWorld, document: str, id: str) -> None:
    unknown = global_id("Launch" if id == LAUNCH_ID else "VM", NOBODYS)

    foreign = await anns.ask(document, BOB, id=id)

    assert list(foreign["data"].values()) == [None]
    assert foreign == await anns.ask(document, BOB, id=unknown)


@pytest.mark.parametrize(
    "id",
    [
        "",
        "x",
        LAUNCH,
        "💥",
        "TGF1bmNoOg==",
        global_id("Console", LAUNCH),
        global_id("Launch", '{"$ne": null}'),
        "A" * 9999,
    ],
)
@pytest.mark.parametrize("document", ["Launch", "Vm", "Node"])
async def test_a_malformed_id_is_null(anns: GatewayWorld, document: str, id: str) -> None:
    assert list((await anns.data(document, OPERATOR, id=id)).values()) == [None]


async def test_cancelling_a_foreign_launch_is_refused_as_an_unknown_one_and_changes_nothing(anns: GatewayWorld) -> None:
    foreign = await anns.data("CancelLaunch", BOB, launchId=LAUNCH_ID)
    unknown = await anns.data("CancelLaunch", BOB, launchId=global_id("Launch", NOBODYS))

    assert foreign == unknown
    assert [error["__typename"] for error in foreign["cancelLaunch"]["errors"]] == ["NotFound"]
    assert foreign["cancelLaunch"]["errors"][0]["path"] == ["input", "launchId"]
    assert anns.engine.cancelled == []
    assert (await status_of(anns, LAUNCH_ID)) == "RUNNING"


async def test_launching_on_a_foreign_machine_is_refused_as_on_an_unknown_one(anns: GatewayWorld) -> None:
    wish = {"console": "SWITCH", "gameId": "mario-odyssey"}
    foreign = await anns.data("LaunchGame", BOB, input={**wish, "vmId": VM_ID})
    unknown = await anns.data("LaunchGame", BOB, input={**wish, "vmId": global_id("VM", NOBODYS)})
    malformed = await anns.data("LaunchGame", BOB, input={**wish, "vmId": "x"})

    assert foreign == unknown == malformed
    assert foreign["launchGame"]["errors"][0]["__typename"] == "NotFound"
    assert foreign["launchGame"]["errors"][0]["path"] == ["input", "vmId"]
    assert anns.engine.started == []


async def test_lists_show_a_player_its_own_and_an_operator_everything(anns: GatewayWorld) -> None:
    await anns.db.insert(a_launch(NOBODYS, "bob"))

    assert await listed(anns, "Launches", ANN) == [LAUNCH_ID]
    assert await listed(anns, "Launches", BOB) == [global_id("Launch", NOBODYS)]
    assert len(await listed(anns, "Launches", OPERATOR)) == 2
    assert await listed(anns, "Launches", SERVICE, userId="ann") == [LAUNCH_ID]
    assert await listed(anns, "Vms", ANN) == [VM_ID]
    assert await listed(anns, "Vms", BOB) == []


@pytest.mark.parametrize("document", ["Launches", "Vms"])
async def test_a_player_may_not_list_for_somebody_else(anns: GatewayWorld, document: str) -> None:
    error = await anns.error(document, BOB, userId="ann")

    assert error["extensions"] == {"code": "FORBIDDEN"}


async def test_a_player_may_not_launch_for_somebody_else(anns: GatewayWorld) -> None:
    wish = {"console": "SWITCH", "gameId": "mario-odyssey", "userId": "ann"}

    error = await anns.error("LaunchGame", BOB, input=wish)

    assert error["extensions"] == {"code": "FORBIDDEN"}
    assert anns.engine.started == []
    assert await listed(anns, "Launches", BOB) == []


async def test_a_service_launches_for_a_player(gateway: GatewayWorld) -> None:
    wish = {"console": "SWITCH", "gameId": "mario-odyssey", "userId": "ann"}

    launched = await gateway.data("LaunchGame", SERVICE, input=wish)

    assert await listed(gateway, "Launches", ANN) == [launched["launchGame"]["launch"]["id"]]


@pytest.mark.parametrize("user_id", ["gamer:warm", "image-builder"])
async def test_not_even_operators_act_for_users_of_the_service_itself(gateway: GatewayWorld, user_id: str) -> None:
    wish = {"console": "SWITCH", "gameId": "mario-odyssey", "userId": user_id}

    payload = (await gateway.data("LaunchGame", OPERATOR, input=wish))["launchGame"]

    (error,) = payload["errors"]
    assert (error["__typename"], error["path"]) == ("InvalidInput", ["input", "userId"])
    assert "reserved" in error["message"]
    assert gateway.engine.started == []


@pytest.mark.parametrize("caller", [BOB, OPERATOR])
async def test_following_what_is_not_there_is_an_error(anns: GatewayWorld, caller: Caller) -> None:
    following: list[tuple[str, dict[str, str]]] = [
        ("LaunchProgress", {"launchId": global_id("Launch", NOBODYS)}),
        ("LaunchProgress", {"launchId": "x"}),
        ("VmStatus", {"vmId": global_id("VM", NOBODYS)}),
    ]
    for document, variables in following:
        assert await refusal_to_follow(anns, document, caller, **variables) == "NOT_FOUND"


async def test_following_somebody_elses_is_the_same_error_to_the_letter(anns: GatewayWorld) -> None:
    for document, name, kind, own in (
        ("LaunchProgress", "launchId", "Launch", LAUNCH_ID),
        ("VmStatus", "vmId", "VM", VM_ID),
    ):
        foreign = await faults_of_following(anns, document, BOB, **{name: own})
        unknown = await faults_of_following(anns, document, BOB, **{name: global_id(kind, NOBODYS)})

        assert foreign == unknown
        assert [fault["extensions"]["code"] for fault in foreign] == ["NOT_FOUND"]
    assert (anns.progress.followers, anns.machines.followers) == (0, 0)


def test_no_other_subscription_takes_an_id() -> None:
    assert SCHEMA.subscription_type is not None
    fields = SCHEMA.subscription_type.fields.items()
    taking = {f"{name}({each})" for name, field in fields for each, taken in field.args.items() if is_id(taken.type)}

    following_all = {f"{name}({each})" for name in ("vmChanges", "launchChanges") for each in ("userId", "after")}
    assert taking == {"launchProgress(launchId)", "vmStatus(vmId)"} | following_all


def is_id(type_: Any) -> bool:
    return str(get_named_type(type_)) in ("ID", "String")


async def faults_of_following(
    world: GatewayWorld, document: str, caller: Caller, /, **variables: Any
) -> list[dict[str, Any]]:
    with pytest.raises(RequestFailedError) as refusal:
        await world.follow(document, caller, **variables)
    return refusal.value.faults


async def refusal_to_follow(world: GatewayWorld, document: str, caller: Caller, /, **variables: Any) -> str:
    (fault,) = await faults_of_following(world, document, caller, **variables)
    return str(fault["extensions"]["code"])


async def listed(world: GatewayWorld, document: str, caller: Caller, /, **variables: Any) -> list[str]:
    (connection,) = (await world.data(document, caller, **variables)).values()
    return [edge["node"]["id"] for edge in connection["edges"]]


async def status_of(world: GatewayWorld, id: str) -> str:
    return str((await world.data("Launch", OPERATOR, id=id))["launch"]["status"])
