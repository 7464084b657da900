from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.faults import FaultKind, Operation
from tests.simulator.tensordock.stranger import World, opened


async def test_the_index_names_the_paths(world: World) -> None:
    reply = await world.control("GET", "")

    assert "/_control/faults" in reply.json["paths"]
    assert reply.json["clock_factor"] == 1000


async def test_an_ordered_fault_is_in_the_book_until_it_is_spent(world: World) -> None:
    ordered = await world.fault("server-error", operation="list", times=2)
    await world.v2("GET", "/instances")

    booked = (await world.control("GET", "/faults")).json["faults"]

    assert ordered["fault"]["left"] == 2
    assert booked == [
        {
            "id": 1,
            "kind": "server-error",
            "operation": "list",
            "probability": 1.0,
            "done": False,
            "left": 1,
            "struck": 1,
        }
    ]


async def test_a_fault_can_be_called_off(world: World) -> None:
    fault = (await world.fault("server-error", times="always"))["fault"]
    kept = (await world.fault("html", operation="balance"))["fault"]

    gone = await world.control("DELETE", f"/faults/{fault['id']}")
    unknown = await world.control("DELETE", "/faults/99")

    assert (gone.status, unknown.status) == (200, 404)
    assert [fault["id"] for fault in (await world.control("GET", "/faults")).json["faults"]] == [kept["id"]]
    assert (await world.control("DELETE", "/faults")).json == {"faults": []}
    assert (await world.v2("GET", "/instances")).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "kind: one of capacity, no-public-ip"),
        ({"kind": "bad-luck"}, "kind: one of capacity"),
        ({"kind": ["capacity"]}, "kind: one of capacity"),
        ({"kind": "html", "operation": "dance"}, "operation: one of auth, balance"),
        ({"kind": "html", "colour": "red"}, "unknown: colour; known: kind, operation"),
        ({"kind": "html", "times": 0}, "times: a whole number from 1"),
        ({"kind": "html", "times": True}, "times: a whole number from 1"),
        ({"kind": "html", "probability": 1.5}, "probability: a number from 0 to 1"),
        ({"kind": "html", "seconds": -1}, "seconds: a number from 0"),
        ({"kind": "html", "status": 99}, "status: a whole number from 200 to 599"),
        ({"kind": "html", "done": 1}, "done: true or false"),
        ({"kind": "html", "machine": ""}, "machine: a text"),
        ({"kind": "html", "on": False}, "on: false is for ssh-refused"),
        ({"kind": "capacity", "operation": "list"}, "capacity strikes create, modify, start, never list"),
        ({"kind": "slow-boot", "done": True}, "done says nothing about slow-boot"),
        ({"kind": "list-shape", "shape": "round"}, "shape: one of enveloped, attributes, flat"),
        ([], "the body must be a JSON object"),
    ],
)
async def test_a_bad_fault_is_told_what_is_wrong_and_not_booked(world: World, body: object, words: str) -> None:
    reply = await world.control("POST", "/faults", body)

    assert reply.status == 400
    assert reply.json["error"].startswith(words)
    assert (await world.control("GET", "/faults")).json == {"faults": []}


async def test_a_body_that_is_no_json_is_told_so(world: World) -> None:
    async with world.http.post(f"{world.url}/_control/faults", data="kind=html") as response:
        assert (response.status, await response.json()) == (400, {"error": "the body must be JSON"})


@pytest.mark.parametrize("kind", list(FaultKind))
async def test_every_kind_can_be_ordered(world: World, kind: FaultKind) -> None:
    assert (await world.fault(kind))["fault"]["kind"] == kind


@pytest.mark.parametrize("operation", list(Operation))
async def test_every_operation_can_be_struck(world: World, operation: Operation) -> None:
    assert (await world.fault("server-error", operation=operation))["fault"]["operation"] == operation


async def test_machines_are_listed_as_they_are(world: World) -> None:
    machine_id = await world.running("gamer-1")
    deleted = await world.running("gamer-2")
    await world.v2("DELETE", f"/instances/{deleted}")
    await world.until_status(deleted, "gone")

    reply = (await world.control("GET", "/machines")).json

    machine = reply["machines"][0]
    assert len(reply["machines"]) == 1
    assert machine | {"created_at": "", "billed_usd": ""} == {
        "id": machine_id,
        "name": "gamer-1",
        "foreign": False,
        "state": "running",
        "booted": True,
        "address": "127.9.0.1",
        "ports": {},
        "hostnode": (await world.host_in("Dallas"))["id"],
        "city": "Dallas",
        "created_at": "",
        "usd_per_hour_now": "0.45600",
        "billed_usd": "",
    }
    assert reply["ever_created"] == 2
    assert reply["ever_created_by_name"] == {"gamer-1": 1, "gamer-2": 1}


async def test_every_order_ever_taken_is_told(world: World) -> None:
    one, other = await world.rented("gamer-1"), await world.rented("gamer-1")
    await world.order("gamer-2", image="none")

    orders = (await world.control("GET", "/orders")).json["orders"]

    assert [(order["number"], order["instance_id"], order["name"]) for order in orders] == [
        (1, one, "gamer-1"),
        (2, other, "gamer-1"),
    ]


async def test_requests_are_counted(world: World) -> None:
    await world.v2("GET", "/instances")
    await world.v2("GET", "/instances")
    await world.v0("/billing/balance")

    assert (await world.control("GET", "/requests")).json == {"requests": {"v2": {"list": 2}, "v0": {"balance": 1}}}


async def test_other_peoples_machines_can_be_put_beside_ours(world: World) -> None:
    ours = await world.rented("gamer-1")

    made = await world.control("POST", "/machines", {"name": "render-farm", "count": 2})

    theirs = {machine["id"] for machine in made.json["machines"]}
    assert made.status == 201
    assert await world.listed() == {ours} | theirs
    assert [machine["foreign"] for machine in await world.machines()] == [False, True, True]
    assert (await world.control("GET", "/machines")).json["ever_created"] == 1


@pytest.mark.parametrize("body", [{}, {"name": "x", "count": 0}, {"name": "x", "hostnode": "none"}, {"nam": "x"}])
async def test_a_bad_foreign_machine_is_not_made(world: World, body: dict[str, Any]) -> None:
    reply = await world.control("POST", "/machines", body)

    assert (reply.status, "error" in reply.json) == (400, True)
    assert await world.machines() == []


@pytest.mark.parametrize("usd", [None, "much", "NaN", "1e99", []])
async def test_a_bad_balance_is_refused(world: World, usd: object) -> None:
    reply = await world.control("PUT", "/balance", {"usd": usd})

    assert reply.status == 400
    assert (await world.control("GET", "/balance")).json["usd"] == "100"


async def test_a_reset_leaves_an_empty_cloud(world: World) -> None:
    before = await world.hostnodes()
    machine_id = await world.running()
    await world.fault("host-stop", machine=machine_id)
    await world.fault("vanish", simulated_seconds=1_000_000)
    await world.rented("gamer-2")
    await world.control("PUT", "/balance", {"usd": "5"})

    reply = await world.control("POST", "/reset")

    assert reply.json == {"machines": [], "ever_created": 0, "ever_created_by_name": {}}
    assert (await world.control("GET", "/faults")).json == {"faults": []}
    assert (await world.control("GET", "/balance")).json["usd"] == "100"
    assert (world.park.made, await world.hostnodes()) == ({}, before)


async def test_after_a_reset_the_cloud_works_as_before(world: World) -> None:
    await world.control("POST", "/reset")

    machine_id = await world.running()

    assert await world.listed() == {machine_id}


async def test_control_names_no_credential(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.running()
        texts = [(await world.control("GET", path)).text for path in ("/machines", "/orders", "/requests", "")]

    assert "token-of-the-tests" not in "".join(texts)
