from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.tensordock.stranger import GPU, PUBLIC_KEY, World, opened, order

ONE_GPU = {GPU: {"count": 1}}


async def test_an_order_becomes_a_machine_with_an_address_and_ssh(world: World) -> None:
    reply = await world.order("gamer-1", cloud_init={"runcmd": ["true"], "unknown": 1})
    machine_id = reply.json["data"]["id"]
    first = await world.v2("GET", f"/instances/{machine_id}")

    await world.until_status(machine_id, "running")
    alone = (await world.v2("GET", f"/instances/{machine_id}")).json

    assert reply.json["data"].keys() == {"type", "id", "name", "status"}
    assert (first.json["status"], first.json["ipAddress"]) == ("creating", None)
    assert (alone["name"], alone["ipAddress"], alone["portForwards"]) == ("gamer-1", "127.9.0.1", [])
    assert alone["resources"] == {
        "vcpu_count": 8,
        "ram_gb": 16,
        "storage_gb": 200,
        "gpus": {"NVIDIA GeForce RTX 4090 PCIe 24GB": {"count": 1, "v0Name": GPU}},
    }
    assert alone["rateHourly"] == 0.456
    assert world.park.made[machine_id] == {
        "ip": "127.9.0.1",
        "user": "user",
        "keys": [PUBLIC_KEY],
        "cloud_init": {"runcmd": ["true"]},
    }


async def test_ssh_answers_only_after_a_while(slow_world: World) -> None:
    machine_id = await slow_world.rented()

    assert await slow_world.status_of(machine_id) == "creating"
    assert slow_world.park.on == set()


async def test_two_orders_of_one_name_are_two_machines(world: World) -> None:
    one, other = await world.rented("gamer-7"), await world.rented("gamer-7")

    assert one != other
    assert await world.listed() == {one, other}


async def test_a_machine_that_cannot_have_its_real_ports_tells_where_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path, ports={22: 40022, 47984: 40084}) as world:
        machine_id = await world.running()
        alone = (await world.v2("GET", f"/instances/{machine_id}")).json

    assert alone["portForwards"] == [
        {"internal_port": 22, "external_port": 40022},
        {"internal_port": 47984, "external_port": 40084},
    ]


async def test_forwarded_ports_are_taken_from_the_hostnode(world: World) -> None:
    before = (await world.host_in("Atlanta"))["available_resources"]["available_ports"]
    forwards = [
        {"internal_port": 22, "external_port": before[2]},
        {"internal_port": 80, "external_port": 0},
    ]

    machine_id = await world.rented(city="Atlanta", useDedicatedIp=False, port_forwards=forwards)
    await world.until_status(machine_id, "running")

    alone = (await world.v2("GET", f"/instances/{machine_id}")).json
    after = (await world.host_in("Atlanta"))["available_resources"]["available_ports"]
    assert [forward["internal_port"] for forward in alone["portForwards"]] == [22, 80]
    assert set(before) - set(after) == {before[0], before[2]}


async def test_some_hosts_ignore_the_forwards_that_were_asked_for(world: World) -> None:
    forwards = [{"internal_port": 22, "external_port": 0}]

    machine_id = await world.rented(city="Joplin", useDedicatedIp=False, port_forwards=forwards)
    await world.until_status(machine_id, "running")

    assert (await world.v2("GET", f"/instances/{machine_id}")).json["portForwards"] == []


async def test_a_location_is_as_good_as_a_hostnode(world: World) -> None:
    host = await world.host_in("Dallas")

    reply = await world.order(hostnode_id=None, location_id=host["location_id"])

    assert reply.taken
    assert [machine["hostnode"] for machine in await world.machines()] == [host["id"]]


async def test_without_a_gpu_only_a_hostnode_will_do(world: World) -> None:
    host = await world.host_in("Dallas")
    small = {"vcpu_count": 2, "ram_gb": 4, "storage_gb": 100}

    taken = await world.order(resources=small)
    refused = await world.order(resources=small, hostnode_id=None, location_id=host["location_id"])

    assert taken.taken
    assert refused.status == 400
    assert refused.json[0]["path"] == ["data", "attributes", "resources", "gpus"]


def sized(**changes: object) -> dict[str, Any]:
    return {"resources": {"vcpu_count": 8, "ram_gb": 16, "storage_gb": 200, "gpus": ONE_GPU} | changes}


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (sized(vcpu_count=7), "resources.vcpu_count", "vCPU count must be an even number of at least 2"),
        (sized(vcpu_count="8"), "resources.vcpu_count", "Expected number"),
        (sized(ram_gb=12), "resources.ram_gb", "RAM must be one of 2, 4, 6, 8, 10, 16, 32, 48"),
        (sized(storage_gb=99), "resources.storage_gb", "Storage must be at least 100 GB"),
        (sized(gpus={GPU: {"count": 0}}), f"resources.gpus.{GPU}.count", "Number must be greater than or equal to 1"),
        ({"location_id": "x"}, "location_id", "Exactly one of location_id and hostnode_id must be given"),
        ({"hostnode_id": None}, "location_id", "Exactly one of location_id and hostnode_id must be given"),
        ({"useDedicatedIp": False}, "port_forwards", "SSH port (22) must be forwarded for Ubuntu VMs"),
        ({"image": "debian12"}, "image", "Invalid image 'debian12'"),
        ({"image": "windows10"}, "password", "A password is required for Windows VMs"),
        ({"ssh_key": None}, "ssh_key", "An SSH key is required for Linux VMs"),
        ({"ssh_key": "no key"}, "ssh_key", "Invalid SSH public key"),
        ({"ssh_key_id": "nobody"}, "ssh_key_id", "Only one of ssh_key and ssh_key_id may be given"),
        ({"name": None}, "name", "Required"),
        ({"type": "vm"}, "type", 'Invalid literal value, expected "virtualmachine"'),
        ({"cloud_init": "#cloud-config"}, "cloud_init", "Expected object"),
        ({"cloud_init": {"runcmd": "true"}}, "cloud_init.runcmd", "Expected array"),
        ({"port_forwards": [{"internal_port": 22}]}, "port_forwards", "Expected a list of internal_port"),
    ],
)
async def test_a_bad_order_is_told_what_is_wrong_and_makes_nothing(
    world: World, changes: Mapping[str, Any], path: str, message: str
) -> None:
    reply = await world.order(**changes)

    assert reply.status == 400
    assert ".".join(reply.json[0]["path"]) == f"data.attributes.{path}"
    assert reply.json[0]["message"].startswith(message)
    assert (await world.control("GET", "/orders")).json == {"orders": []}


@pytest.mark.parametrize("body", [None, [], {"data": {}}, {"data": {"attributes": []}}])
async def test_what_is_no_order_at_all_is_refused(world: World, body: object) -> None:
    reply = await world.v2("POST", "/instances", body)

    assert (reply.status, reply.json[0]["path"]) == (400, ["data", "attributes"])


async def test_a_full_host_says_so_with_a_200(world: World) -> None:
    reply = await world.order(**sized(gpus={GPU: {"count": 8}}))
    unknown = await world.v2("POST", "/instances", order("gamer-1", "nobody"))

    assert (reply.status, reply.json) == (200, {"status": 400, "error": "No available nodes found"})
    assert (unknown.status, unknown.json) == (200, {"status": 400, "error": "No available nodes found"})


async def test_what_one_gpu_may_have_of_the_host_is_limited(world: World) -> None:
    reply = await world.order(**sized(vcpu_count=64))

    assert reply.json == {"status": 400, "error": "No available nodes found"}


async def test_a_host_may_have_hardware_but_no_address(world: World) -> None:
    reply = await world.order(city="Orlando")

    assert (reply.status, reply.json) == (400, {"error": "No available public IPs on hostnode"})
    assert await world.machines() == []


async def test_a_deleted_machine_is_gone_soon_and_gone_for_good(world: World) -> None:
    machine_id = await world.running()

    reply = await world.v2("DELETE", f"/instances/{machine_id}")
    await world.until_status(machine_id, "gone")
    again = await world.v2("DELETE", f"/instances/{machine_id}")

    assert reply.status == 200
    assert "Instance deleted successfully" in reply.text
    assert (again.status, again.json) == (404, {"error": "Instance not found"})
    assert world.park.made == {}
    assert await world.listed() == set()


async def test_a_machine_may_be_deleted_before_it_has_booted(world: World) -> None:
    machine_id = await world.rented()

    await world.v2("DELETE", f"/instances/{machine_id}")
    await world.until_status(machine_id, "gone")

    assert (world.park.made, world.park.on) == ({}, set())


async def test_a_machine_stops_and_starts(world: World) -> None:
    machine_id = await world.running()

    stopping = await world.v2("POST", f"/instances/{machine_id}/stop")
    await world.until_status(machine_id, "stopped")
    off, booted = set(world.park.on), (await world.machines())[0]["booted"]
    starting = await world.v2("POST", f"/instances/{machine_id}/start", {})
    await world.until_status(machine_id, "running")

    assert stopping.json == {"data": {"type": "instance", "id": machine_id, "attributes": {"status": "stopping"}}}
    assert starting.json["data"]["attributes"] == {"status": "starting"}
    assert (off, booted) == (set(), False)
    assert world.park.on == {machine_id}


async def test_a_machine_stopped_before_it_had_an_address_gets_one_at_its_start(world: World) -> None:
    machine_id = await world.rented()
    await world.v2("POST", f"/instances/{machine_id}/stop")
    await world.until_status(machine_id, "stopped")

    await world.v2("POST", f"/instances/{machine_id}/start")
    await world.until_status(machine_id, "running")

    assert world.park.on == {machine_id}
    assert (await world.v2("GET", f"/instances/{machine_id}")).json["ipAddress"] == "127.9.0.1"


async def test_the_wrong_state_is_a_conflict(world: World) -> None:
    machine_id = await world.running()

    running = await world.v2("POST", f"/instances/{machine_id}/start")
    await world.v2("POST", f"/instances/{machine_id}/stop")
    await world.until_status(machine_id, "stopped")
    stopped = await world.v2("POST", f"/instances/{machine_id}/stop")
    unknown = await world.v2("POST", "/instances/nobody/stop")

    assert (running.status, running.json) == (409, {"error": "Instance is already running"})
    assert (stopped.status, stopped.json) == (409, {"error": "Instance is already stopped"})
    assert unknown.status == 404


async def test_hardware_that_was_given_away_does_not_come_back(world: World) -> None:
    free = (await world.host_in("Toronto"))["available_resources"]["gpus"][0]["availableCount"]
    machine_id = await world.rented(city="Toronto")
    for _ in range(free - 1):
        await world.rented("other", city="Toronto")
    await world.until_status(machine_id, "running")

    await world.fault("host-stop", machine=machine_id)
    await world.until_status(machine_id, "stoppeddisassociated")
    reply = await world.v2("POST", f"/instances/{machine_id}/start")

    assert (reply.status, reply.json) == (400, {"error": "No available nodes found"})
    assert await world.status_of(machine_id) == "stoppeddisassociated"


async def test_a_stopped_machine_can_be_resized_and_no_other(world: World) -> None:
    machine_id = await world.running()
    early = await world.v2("PUT", f"/instances/{machine_id}/modify", {"diskGb": 300})
    await world.v2("POST", f"/instances/{machine_id}/stop")
    await world.until_status(machine_id, "stopped")

    smaller = await world.v2("PUT", f"/instances/{machine_id}/modify", {"diskGb": 150})
    larger = await world.v2("PUT", f"/instances/{machine_id}/modify", {"cpuCores": 12, "ramGb": 32, "diskGb": 300})

    alone = (await world.v2("GET", f"/instances/{machine_id}")).json
    assert (early.status, early.json) == (409, {"error": "Instance must be stopped before it can be modified"})
    assert (smaller.status, smaller.json[0]["path"]) == (400, ["diskGb"])
    assert larger.status == 200
    assert (alone["resources"]["vcpu_count"], alone["resources"]["ram_gb"]) == (12, 32)
    assert alone["rateHourly"] == 0.505


async def test_a_stored_key_is_as_good_as_a_written_one(world: World) -> None:
    secret = {"data": {"type": "secret", "attributes": {"name": "player", "type": "SSHKEY", "value": PUBLIC_KEY}}}
    secret_id = (await world.v2("POST", "/secrets", secret)).json["data"]["id"]

    machine_id = await world.rented(ssh_key=None, ssh_key_id=secret_id)
    await world.until_status(machine_id, "running")

    assert world.park.made[machine_id]["keys"] == [PUBLIC_KEY]


async def test_secrets_are_made_read_and_deleted(world: World) -> None:
    def secret(kind: str) -> dict[str, Any]:
        return {"data": {"type": "secret", "attributes": {"name": "s", "type": kind, "value": "hidden"}}}

    generic = (await world.v2("POST", "/secrets", secret("GENERIC"))).json["data"]["id"]
    hidden = (await world.v2("POST", "/secrets", secret("SECRET"))).json["data"]["id"]
    wrong = await world.v2("POST", "/secrets", secret("OTHER"))

    assert (await world.v2("GET", f"/secrets/{generic}")).json["data"]["value"] == "hidden"
    assert "value" not in (await world.v2("GET", f"/secrets/{hidden}")).json["data"]
    assert (wrong.status, wrong.json[0]["path"]) == (400, ["data", "attributes", "type"])
    assert (await world.v2("DELETE", f"/secrets/{generic}")).status == 200
    assert (await world.v2("GET", f"/secrets/{generic}")).status == 404
    assert (await world.v2("GET", "/secrets")).json == {
        "data": {"secrets": [{"type": "SECRET", "id": hidden, "name": "s"}]}
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer 11111111-0000-4000-8000-000000000001"}, 403),
    ],
)
async def test_without_the_token_there_is_no_machine(world: World, headers: dict[str, str], status: int) -> None:
    host = await world.host_in("Dallas")

    listed = await world.v2("GET", "/instances", headers=headers)
    ordered = await world.v2("POST", "/instances", order("gamer-1", host["id"]), headers=headers)

    assert (listed.status, ordered.status) == (status, status)
    assert listed.json.keys() == {"error"}
    assert await world.machines() == []


async def test_the_token_can_be_tried(world: World) -> None:
    reply = await world.v2("POST", "/auth/test")

    assert (reply.status, reply.json["success"]) == (200, True)
