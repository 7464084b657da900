"""Following every VM and launch with one subscription, and continuing after a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from auth.callers import Caller
from models.launches import Launch, LaunchStatus
from models.vms import Vm, VmStatus
from resolvers.pagination import cursor
from schema.execution.requests import RequestFailedError
from schema.ids import global_id
from tests.gateway import ANN, BOB, NOON, OPERATOR, GatewayWorld, a_launch, a_vm

FIRST, SECOND, LAUNCH = "200000000000000001", "200000000000000002", "100000000000000001"


async def test_operators_follow_the_vms_of_all_players_and_players_follow_their_own(gateway: GatewayWorld) -> None:
    every, own = await begun(gateway, OPERATOR), await begun(gateway, BOB)

    await gateway.db.insert(a_vm(FIRST, "ann"))
    await gateway.db.insert(a_vm(SECOND, "bob"))

    assert [await next_vm(every), await next_vm(every)] == [
        (global_id("VM", FIRST), "RUNNING"),
        (global_id("VM", SECOND), "RUNNING"),
    ]
    assert await next_vm(own) == (global_id("VM", SECOND), "RUNNING")
    await close(gateway, every, own)


async def test_a_cursor_brings_what_changed_while_the_client_was_away(gateway: GatewayWorld) -> None:
    for key in (FIRST, SECOND):
        await gateway.db.insert(a_vm(key))
    stream = await begun(gateway, ANN)
    await stop(gateway, FIRST)
    seen = (await heard(stream))["vmChanges"]
    await close(gateway, stream)
    long_ago = {"$set": {"changed_at": NOON}}
    await gateway.db.update_or_insert(Vm, {"_id": FIRST}, long_ago)
    await stop(gateway, SECOND)

    again = await begun(gateway, ANN, after=seen["cursor"])

    assert seen["vm"]["status"] == "STOPPING"
    assert await next_vm(again) == (global_id("VM", SECOND), "STOPPING")
    await stop(gateway, FIRST, VmStatus.STOPPED)
    assert await next_vm(again) == (global_id("VM", FIRST), "STOPPED")
    await close(gateway, again)


async def test_more_changes_than_one_page_are_replayed_each_once(gateway: GatewayWorld) -> None:
    many = [a_vm(f"2{number:017}") for number in range(1203)]
    await gateway.db.insert_many(many)
    follower = gateway.machines.follow_all("ann", NOON)

    keys = []
    async for change in follower:
        keys += [] if change.record is None else [change.record.id]
        if len(keys) == len(many):
            break
    await follower.aclose()

    assert sorted(keys) == [vm.id for vm in many]


async def test_a_vm_that_leaves_the_wanted_statuses_is_sent_once_more(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(FIRST))
    stream = await begun(gateway, OPERATOR, status=["RUNNING"])

    await stop(gateway, FIRST)
    await stop(gateway, FIRST, VmStatus.STOPPED)
    await gateway.db.insert(a_vm(SECOND))

    assert [await next_vm(stream), await next_vm(stream)] == [
        (global_id("VM", FIRST), "STOPPING"),
        (global_id("VM", SECOND), "RUNNING"),
    ]
    await close(gateway, stream)


async def test_a_vm_that_this_version_cannot_read_is_left_out(gateway: GatewayWorld) -> None:
    start = cursor("vmchanges", str(int(NOON.timestamp() * 1000)))
    await gateway.db.insert(a_vm(FIRST))
    await gateway.db.upsert(Vm, {"_id": FIRST}, {"$set": {"status": "DREAMING"}})
    await gateway.db.insert(a_vm(SECOND))
    replayed = await begun(gateway, OPERATOR, after=start)

    assert await next_vm(replayed) == (global_id("VM", SECOND), "RUNNING")
    await gateway.db.upsert(Vm, {"_id": FIRST}, {"$set": {"detail": "again"}})
    await stop(gateway, SECOND)
    assert await next_vm(replayed) == (global_id("VM", SECOND), "STOPPING")
    await close(gateway, replayed)


async def test_followers_of_one_process_get_the_same_changes_with_their_own_costs(gateway: GatewayWorld) -> None:
    streams = [await begun(gateway, caller) for caller in (OPERATOR, OPERATOR, ANN)]

    await gateway.db.insert(a_vm(FIRST))
    await stop(gateway, FIRST)

    for stream in streams:
        assert [(await next_vm(stream))[1], (await next_vm(stream))[1]] == ["RUNNING", "STOPPING"]
    await close(gateway, *streams)


async def test_launches_are_followed_in_the_same_way(gateway: GatewayWorld) -> None:
    stream = await begun(gateway, ANN, "LaunchChanges")
    await gateway.db.insert(a_launch(LAUNCH))
    await gateway.db.insert(a_launch("100000000000000002", "bob"))
    first = (await heard(stream))["launchChanges"]
    await close(gateway, stream)
    await gateway.db.update(Launch, {"_id": LAUNCH}, {"$set": {"status": LaunchStatus.RUNNING, "progress": 0.5}})

    again = await begun(gateway, ANN, "LaunchChanges", after=first["cursor"])

    shown = (await heard(again))["launchChanges"]["launch"]
    assert (first["launch"]["status"], first["launch"]["userId"]) == ("QUEUED", "ann")
    assert (shown["id"], shown["status"], shown["progress"]) == (global_id("Launch", LAUNCH), "RUNNING", 0.5)
    await close(gateway, again)


async def test_foreign_users_and_cursors_of_other_lists_are_refused(gateway: GatewayWorld) -> None:
    for after in ("x", cursor("vms", "1"), cursor("vmchanges", "9" * 30), cursor("vmchanges", "soon")):
        code = await refusal(gateway, after=after)
        assert code == {"code": "BAD_USER_INPUT", "field": "after"}, after
    assert (await refusal(gateway, userId="bob"))["code"] == "FORBIDDEN"


async def test_every_write_records_its_time_by_the_database(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(FIRST))
    inserted = await gateway.db.get(Vm, FIRST)
    stopped = await stop(gateway, FIRST)

    assert inserted is not None
    assert inserted.changed_at is not None
    assert stopped.changed_at is not None
    assert timedelta(0) <= stopped.changed_at - inserted.changed_at < timedelta(minutes=1)


async def begun(
    gateway: GatewayWorld, caller: Caller, document: str = "VmChanges", **variables: Any
) -> AsyncGenerator[dict[str, Any], None]:
    """A subscription that misses no later change: its first event has no record."""
    stream = await gateway.follow(document, caller, **variables)
    (first,) = (await heard(stream)).values()
    assert first["cursor"]
    assert first.get("vm", first.get("launch")) is None
    return stream


async def heard(stream: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any]:
    answer = await asyncio.wait_for(anext(stream), 20)
    assert "errors" not in answer, answer["errors"]
    data: dict[str, Any] = answer["data"]
    return data


async def next_vm(stream: AsyncGenerator[dict[str, Any], None]) -> tuple[str, str]:
    vm = (await heard(stream))["vmChanges"]["vm"]
    return vm["id"], vm["status"]


async def stop(gateway: GatewayWorld, vm_id: str, status: VmStatus = VmStatus.STOPPING) -> Vm:
    vm = await gateway.db.update(Vm, {"_id": vm_id}, {"$set": {"status": status}})
    assert vm is not None
    return vm


async def close(gateway: GatewayWorld, *streams: AsyncGenerator[dict[str, Any], None]) -> None:
    for stream in streams:
        await stream.aclose()
    assert gateway.machines.followers == gateway.services.launch_feed.followers == 0


async def refusal(gateway: GatewayWorld, **variables: Any) -> dict[str, Any]:
    try:
        await gateway.follow("VmChanges", ANN, **variables)
    except RequestFailedError as error:
        found: dict[str, Any] = error.faults[0]["extensions"]
        return found
    raise AssertionError("it was not refused")
