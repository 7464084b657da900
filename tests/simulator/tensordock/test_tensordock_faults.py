from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from tests.simulator.tensordock.stranger import World, opened, order


async def test_capacity_is_refused_once_and_nothing_is_made(world: World) -> None:
    await world.fault("capacity")

    refused = await world.order()
    taken = await world.order()

    assert (refused.status, refused.json) == (200, {"status": 400, "error": "No available nodes found"})
    assert taken.taken
    assert len(await world.machines()) == 1


async def test_a_fault_of_one_hostnode_leaves_the_others_alone(world: World) -> None:
    dallas = (await world.host_in("Dallas"))["id"]
    await world.fault("capacity", hostnode=dallas, times="always")

    refused = [await world.order() for _ in range(3)]
    elsewhere = await world.order(city="Chubbuck")

    assert [reply.json["error"] for reply in refused] == ["No available nodes found"] * 3
    assert elsewhere.taken


async def test_no_public_ip(world: World) -> None:
    await world.fault("no-public-ip")

    assert (await world.order()).json == {"error": "No available public IPs on hostnode"}


async def test_a_lost_answer_belongs_to_an_order_that_was_taken(world: World) -> None:
    await world.fault("answer-lost", operation="create")

    with pytest.raises(aiohttp.ClientError):
        await world.order("gamer-1")

    assert [machine["name"] for machine in await world.machines()] == ["gamer-1"]
    assert (await world.control("GET", "/machines")).json["ever_created"] == 1


async def test_a_refused_order_does_not_use_up_the_fault(world: World) -> None:
    await world.fault("answer-lost", operation="create")
    await world.order(image="debian12")

    with pytest.raises(aiohttp.ClientError):
        await world.order()


async def test_a_cut_connection_belongs_to_an_order_that_was_not_taken(world: World) -> None:
    await world.fault("connection-cut", operation="create")

    with pytest.raises(aiohttp.ClientError):
        await world.order()

    assert await world.machines() == []


async def test_a_late_answer_comes_late_and_true(world: World) -> None:
    await world.fault("answer-late", operation="create", seconds=0.2)
    host = await world.host_in("Dallas")
    began = time.monotonic()

    reply = await world.order()

    assert time.monotonic() - began >= 0.2
    assert reply.taken
    assert (await world.machines())[0]["hostnode"] == host["id"]


async def test_an_answer_too_late_for_its_caller_belongs_to_an_order_that_was_taken(world: World) -> None:
    host = await world.host_in("Dallas")
    await world.fault("answer-late", operation="create", seconds=30)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await world.v2("POST", "/instances", order("gamer-1", host["id"]))

    assert len(await world.machines()) == 1


@pytest.mark.parametrize(("parts", "header"), [({"retry_after": 7}, "7"), ({}, None)])
async def test_429_with_and_without_the_time_to_wait(world: World, parts: dict[str, int], header: str | None) -> None:
    await world.fault("rate-limited", operation="list", **parts)

    reply = await world.v2("GET", "/instances")

    assert (reply.status, reply.json) == (429, {"error": "Too many requests"})
    assert reply.headers.get("Retry-After") == header
    assert (await world.v2("GET", "/instances")).status == 200


async def test_errors_speak_the_words_of_their_version(world: World) -> None:
    await world.fault("server-error", operation="list", times=2, message="Unexpected error")

    newer = await world.v2("GET", "/instances")
    older = await world.v0("/client/list")

    assert (newer.status, newer.json) == (500, {"error": "Unexpected error"})
    assert (older.status, older.json) == (500, {"success": False, "error": "Unexpected error"})


@pytest.mark.parametrize("status", [200, 500, 502])
async def test_a_page_instead_of_json(world: World, status: int) -> None:
    await world.fault("html", operation="hostnodes", status=status)

    reply = await world.v2("GET", "/hostnodes")

    assert (reply.status, reply.json) == (status, None)
    assert reply.headers["Content-Type"].startswith("text/html")


async def test_garbage(world: World) -> None:
    await world.fault("garbage", operation="list")

    reply = await world.v2("GET", "/instances")

    assert (reply.status, reply.json, len(reply.text) > 0) == (200, None, True)


async def test_credentials_refused(world: World) -> None:
    await world.fault("credentials-refused", operation="list")

    assert (await world.v2("GET", "/instances")).status == 401


async def test_a_delete_that_answers_500_and_is_done(world: World) -> None:
    machine_id = await world.running()
    await world.fault("server-error", operation="delete", done=True)

    reply = await world.v2("DELETE", f"/instances/{machine_id}")
    await world.until_status(machine_id, "gone")

    assert reply.status == 500


async def test_a_delete_that_answers_500_and_is_not_done(world: World) -> None:
    machine_id = await world.running()
    await world.fault("server-error", operation="delete")

    reply = await world.v2("DELETE", f"/instances/{machine_id}")

    assert reply.status == 500
    assert await world.status_of(machine_id) == "running"
    assert (await world.control("GET", "/orders")).json["orders"][0]["ended_at"] is None


async def test_a_delete_that_says_already_gone(world: World) -> None:
    one, other = await world.running("gamer-1"), await world.running("gamer-2")
    await world.fault("already-gone", times=2)

    newer = await world.v2("DELETE", f"/instances/{one}")
    older = await world.v0("/client/delete/single", server=other)

    assert (newer.status, newer.json) == (404, {"error": "Instance not found"})
    assert "already terminated" in older.json["error"]
    await world.until_status(one, "gone")
    await world.until_status(other, "gone")


async def test_a_delete_that_takes_long(world: World) -> None:
    machine_id = await world.running()
    await world.fault("slow-delete", seconds=60)

    reply = await world.v2("DELETE", f"/instances/{machine_id}")
    again = await world.v2("DELETE", f"/instances/{machine_id}")

    assert (reply.status, again.status) == (200, 200)
    assert await world.status_of(machine_id) == "deleting"
    assert await world.listed() == {machine_id}


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("enveloped", ["data", "instances"]),
        ("attributes", ["data", "attributes", "instances"]),
        ("flat", ["data"]),
    ],
)
async def test_the_list_has_three_documented_shapes(world: World, shape: str, path: list[str]) -> None:
    machine_id = await world.running()
    await world.fault("list-shape", shape=shape)

    found = (await world.v2("GET", "/instances")).json
    for name in path:
        found = found[name]

    assert [item["id"] for item in found] == [machine_id]
    assert ("attributes" in found[0]) is (shape == "enveloped")
    assert found[0].get("ipAddress") == ("127.9.0.1" if shape == "flat" else None)


async def test_a_single_machine_may_come_wrapped(world: World) -> None:
    machine_id = await world.running()
    await world.fault("wrapped")

    reply = await world.v2("GET", f"/instances/{machine_id}")

    assert reply.json["data"]["id"] == machine_id


async def test_numbers_may_come_as_strings(world: World) -> None:
    await world.fault("strings", times=3)

    balance = await world.v0("/billing/balance")
    older = (await world.v0_get("/client/deploy/hostnodes")).json["hostnodes"]
    newer = (await world.v2("GET", "/hostnodes")).json["data"]["hostnodes"]

    assert balance.json == {"balance": "100.000000", "hourly_cost": "0", "success": True}
    assert (
        older["8fe8cd51-b7b4-4062-b80a-ecdebad11b52"]["specs"]["gpu"]["geforcertx4090-pcie-24gb"]["price"] == "0.3966"
    )
    assert {type(host["pricing"]["per_gb_storage_hr"]) for host in newer} == {str}
    assert all("e" not in host["pricing"]["per_gb_storage_hr"].lower() for host in newer)


async def test_a_new_machine_may_be_missing_from_the_list(world: World) -> None:
    await world.fault("list-lag", seconds=0.3)
    machine_id = await world.rented()

    listed_first = await world.listed()
    known = (await world.v2("GET", f"/instances/{machine_id}")).status

    async def is_listed() -> bool:
        return machine_id in await world.listed()

    await world.until(is_listed)
    assert (listed_first, known) == (set(), 200)


async def test_a_machine_may_boot_slowly(world: World) -> None:
    await world.fault("slow-boot", seconds=60)
    machine_id = await world.rented()
    quick_id = await world.running("quick")

    assert await world.status_of(machine_id) == "running"
    assert world.park.on == {quick_id}


async def test_a_machine_may_never_get_an_address(world: World) -> None:
    await world.fault("no-address")
    machine_id = await world.rented()

    await world.until_status(machine_id, "running")

    assert (await world.v2("GET", f"/instances/{machine_id}")).json["ipAddress"] is None
    assert world.park.made == {}


async def test_a_machine_may_fail_to_boot_and_can_still_be_deleted(world: World) -> None:
    await world.fault("boot-fails")
    machine_id = await world.rented()

    await world.until_status(machine_id, "error")
    await world.v2("DELETE", f"/instances/{machine_id}")

    await world.until_status(machine_id, "gone")


async def test_the_ssh_key_may_be_forgotten(world: World) -> None:
    await world.fault("key-missing")

    machine_id = await world.running()

    assert world.park.made[machine_id]["keys"] == []


@pytest.mark.parametrize("kind", ["ssh-refused", "install-fails"])
async def test_a_new_machine_may_refuse_what_is_done_on_it(world: World, kind: str) -> None:
    await world.fault(kind)

    broken = await world.running("gamer-1")
    await world.running("gamer-2")

    assert world.park.faults == {(broken, kind)}


async def test_a_present_machine_may_refuse_ssh_for_a_while(world: World) -> None:
    machine_id = await world.running()

    struck = await world.fault("ssh-refused", machine="gamer-1")
    faults = set(world.park.faults)
    await world.fault("ssh-refused", machine=machine_id, on=False)

    assert struck == {"struck": [machine_id]}
    assert (faults, world.park.faults) == ({(machine_id, "ssh-refused")}, set())


async def test_a_machine_may_vanish(world: World) -> None:
    machine_id = await world.running()

    await world.fault("vanish", machine=machine_id)

    reply = await world.v2("GET", f"/instances/{machine_id}")
    ended = (await world.control("GET", "/orders")).json["orders"][0]
    assert (reply.status, await world.machines()) == (404, [])
    assert ended["ended_by"] == "vanished"


async def test_a_machine_may_vanish_some_time_after_its_order(world: World) -> None:
    await world.fault("vanish", simulated_seconds=100)
    machine_id = await world.running()

    await world.until_status(machine_id, "gone")

    assert await world.machines() == []


async def test_a_host_may_stop_a_machine_later(world: World) -> None:
    machine_id = await world.running()

    await world.fault("host-stop", machine=machine_id, simulated_seconds=50)

    await world.until_status(machine_id, "stoppeddisassociated")
    assert world.park.on == set()


async def test_hardware_that_others_took_is_free_again_when_they_leave(world: World) -> None:
    stock = await world.hostnodes()
    machine_id = await world.running()
    await world.fault("host-stop", machine=machine_id)
    await world.until_status(machine_id, "stoppeddisassociated")
    await world.v2("DELETE", f"/instances/{machine_id}")
    await world.until_status(machine_id, "gone")
    taken = await world.hostnodes()

    await world.control("DELETE", "/others")

    assert taken != stock
    assert await world.hostnodes() == stock


async def test_chance_strikes_the_same_way_for_the_same_seed(tmp_path: Path) -> None:
    async def statuses(folder: Path, seed: int) -> list[int]:
        async with opened(folder, seed=seed) as world:
            await world.fault("server-error", operation="list", probability=0.5, times="always")
            return [(await world.v2("GET", "/instances")).status for _ in range(20)]

    one, same = await statuses(tmp_path / "one", 7), await statuses(tmp_path / "same", 7)
    other = await statuses(tmp_path / "other", 8)

    assert one == same
    assert one != other
    assert set(one) == {200, 500}


async def test_a_fault_may_be_meant_for_one_version(world: World) -> None:
    await world.fault("server-error", operation="list", api="v0")

    assert (await world.v2("GET", "/instances")).status == 200
    assert (await world.v0("/client/list")).status == 500


async def test_without_an_operation_a_fault_strikes_whatever_comes(world: World) -> None:
    await world.fault("server-error", times=2)

    statuses = [(await world.v2("GET", path)).status for path in ("/locations", "/instances", "/hostnodes")]

    assert statuses == [500, 500, 200]


async def test_many_orders_at_once_never_rent_more_than_there_is(world: World) -> None:
    host = await world.host_in("Dallas")
    free = host["available_resources"]["gpus"][0]["availableCount"]

    replies = await asyncio.gather(*(world.order(f"gamer-{n}") for n in range(free + 3)))

    assert sum("data" in reply.json for reply in replies) == free
    assert len(await world.machines()) == free
