from __future__ import annotations

import aiohttp
import pytest

from tests.simulator.tensordock.stranger import KEY, PAIR, TOKEN, World


async def test_the_pair_can_be_tried_in_both_form_encodings(world: World) -> None:
    multipart = aiohttp.FormData(PAIR, default_to_multipart=True)

    urlencoded = await world.v0("/auth/test")
    async with world.http.post(f"{world.url}/api/v0/auth/test", data=multipart) as response:
        as_multipart = await response.json()

    assert (urlencoded.status, urlencoded.json) == (200, {"success": True})
    assert as_multipart == {"success": True}


@pytest.mark.parametrize("pair", [{"api_key": KEY}, {"api_key": TOKEN, "api_token": KEY}, {}])
async def test_half_a_pair_is_none(world: World, pair: dict[str, str]) -> None:
    async with world.http.post(f"{world.url}/api/v0/billing/balance", data=pair) as response:
        reply = await response.json()

    assert response.status == 401
    assert reply == {"success": False, "error": "Invalid API key or token"}


async def test_authorizations_are_listed_by_name(world: World) -> None:
    reply = await world.v0("/auth/list")

    assert reply.json["authorizations"]["gateway"]["permissions"] == "All"


async def test_version_0_sees_what_version_2_made(world: World) -> None:
    machine_id = await world.running("gamer-1", "Chubbuck")

    listed = await world.v0("/client/list")
    alone = await world.v0("/client/get/single", server=machine_id)

    machine = alone.json["virtualmachines"]
    assert listed.json == {"success": True, "virtualmachines": {machine_id: machine}}
    assert (machine["name"], machine["status"], machine["default_user"]) == ("gamer-1", "Running", "user")
    assert (machine["city"], machine["state"]) == ("Chubbuck", "Idaho")
    assert (machine["dedicated_ip_address"], machine["port_forwards"]) == ("127.9.0.1", {})
    assert (machine["total_price"], machine["storage_price"], machine["compute_price"]) == (0.4746, 0.014, 0.4606)
    assert machine["timestamp_creation"].endswith(" GMT")


async def test_a_stop_that_releases_gives_the_gpu_back_and_keeps_the_disk(world: World) -> None:
    before = await world.host_in("Dallas")
    machine_id = await world.running()

    reply = await world.v0("/client/stop/single", server=machine_id, disassociate_resources="true")
    await world.until_status(machine_id, "stoppeddisassociated")

    after = await world.host_in("Dallas")
    assert reply.json == {"success": True}
    assert after["available_resources"]["gpus"] == before["available_resources"]["gpus"]
    assert before["available_resources"]["storage_gb"] - after["available_resources"]["storage_gb"] == 200
    assert (await world.v0("/billing/balance")).json["hourly_cost"] == 0.01


async def test_a_stop_that_keeps_costs_as_before(world: World) -> None:
    machine_id = await world.running()

    await world.v0("/client/stop/single", server=machine_id)
    await world.until_status(machine_id, "stopped")

    assert (await world.v0("/billing/balance")).json["hourly_cost"] == 0.456


async def test_the_wrong_state_is_a_500_with_json(world: World) -> None:
    machine_id = await world.running()

    running = await world.v0("/client/start/single", server=machine_id)
    await world.v0("/client/stop/single", server=machine_id, disassociate_resources="true")
    await world.until_status(machine_id, "stoppeddisassociated")
    stopped = await world.v0("/client/stop/single", server=machine_id)

    assert running.status == stopped.status == 500
    assert running.json == {"success": False, "error": "Machine is running, therefore it cannot be started"}
    assert stopped.json == {
        "success": False,
        "error": "Machine is stoppeddisassociated, therefore it cannot be stopped",
    }


async def test_a_released_machine_starts_again(world: World) -> None:
    machine_id = await world.running()
    await world.v0("/client/stop/single", server=machine_id, disassociate_resources="true")
    await world.until_status(machine_id, "stoppeddisassociated")

    reply = await world.v0("/client/start/single", server=machine_id)
    await world.until_status(machine_id, "running")

    assert reply.json == {"success": True}
    assert (await world.v0("/billing/balance")).json["hourly_cost"] == 0.456


async def test_deleting_what_is_gone_says_so(world: World) -> None:
    machine_id = await world.running()

    first = await world.v0("/client/delete/single", server=machine_id)
    await world.until_status(machine_id, "gone")
    second = await world.v0("/client/delete/single", server=machine_id)

    assert first.json == {"success": True}
    assert (second.status, second.json["success"]) == (400, False)
    assert "already terminated" in second.json["error"]


async def test_an_unknown_machine_is_no_success(world: World) -> None:
    for path in ("get", "start", "stop"):
        reply = await world.v0(f"/client/{path}/single", server="nobody")

        assert (reply.status, reply.json["success"]) == (404, False)


async def test_ordering_by_version_0_is_broken_as_it_really_is(world: World) -> None:
    reply = await world.v0("/client/deploy/single", name="gamer-1")

    assert (reply.status, reply.json) == (500, None)
    assert reply.text.startswith("<!DOCTYPE html>")
    assert await world.machines() == []


async def test_by_fault_version_0_knows_nothing_of_version_2(world: World) -> None:
    machine_id = await world.running()
    await world.fault("v0-blind", times="always")

    listed = await world.v0("/client/list")
    stopped = await world.v0("/client/stop/single", server=machine_id)

    assert listed.json == {"success": True, "virtualmachines": {}}
    assert (stopped.status, stopped.json["success"]) == (404, False)
    assert await world.status_of(machine_id) == "running"
