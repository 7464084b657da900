"""Following all machines through a real server: a socket that ends at one gateway and continues at another."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from models.vms import Vm, VmStatus
from schema.ids import global_id
from tests.gateway import ANN, OPERATOR, GatewayWorld, a_vm, gateway_world, listening, text_of, token, web_gateway
from tests.web.test_event_stream import EVENTS, events_of
from tests.web.test_socket import acknowledged, hear, subscribe
from web.app import create_app
from web.health import Readiness

FIRST, SECOND = "200000000000000001", "200000000000000002"


def asking(**variables: Any) -> dict[str, Any]:
    return {"query": text_of("VmChanges"), "variables": variables}


async def test_a_subscription_continues_at_another_gateway_without_a_gap(gateway: GatewayWorld, served: str) -> None:
    async with acknowledged(served) as socket:
        await subscribe(socket, "1", asking())
        assert (await hear(socket))["payload"]["data"]["vmChanges"]["vm"] is None
        await gateway.db.insert(a_vm(FIRST))
        seen = (await hear(socket))["payload"]["data"]["vmChanges"]
    await gateway.db.insert(a_vm(SECOND))
    await gateway.db.update(Vm, {"_id": FIRST}, {"$set": {"status": VmStatus.STOPPING}})

    async with (
        gateway_world(gateway.db) as other,
        listening(create_app(web_gateway(other), Readiness())) as elsewhere,
        acknowledged(elsewhere, ANN) as socket,
    ):
        await subscribe(socket, "1", asking(after=seen["cursor"]))
        told = [(await hear(socket))["payload"]["data"]["vmChanges"]["vm"] for _ in range(3)]

    assert (seen["vm"]["id"], seen["vm"]["status"]) == (global_id("VM", FIRST), "RUNNING")
    assert told[0] is None
    assert {(vm["id"], vm["status"]) for vm in told[1:]} == {
        (global_id("VM", FIRST), "STOPPING"),
        (global_id("VM", SECOND), "RUNNING"),
    }


async def test_an_event_stream_continues_after_the_id_of_its_last_event(gateway: GatewayWorld, served: str) -> None:
    await gateway.db.insert(a_vm(FIRST))
    url, headers = f"http://{served}/graphql", {"Authorization": f"Bearer {token(OPERATOR)}", **EVENTS}
    async with aiohttp.ClientSession() as http:
        async with http.post(url, json=asking(), headers=headers) as stream:
            line = await stream.content.readline()
        last_id = line.decode().strip().removeprefix("id: ")
        await gateway.db.update(Vm, {"_id": FIRST}, {"$set": {"status": VmStatus.STOPPING}})

        async with http.post(url, json=asking(), headers={**headers, "Last-Event-ID": last_id}) as stream:
            told = events_of(stream)
            first, second = await anext(told), await anext(told)

    assert last_id.isdecimal(), json.dumps(last_id)
    assert first[1]["data"]["vmChanges"]["vm"] is None
    assert second[1]["data"]["vmChanges"]["vm"]["status"] == "STOPPING"
