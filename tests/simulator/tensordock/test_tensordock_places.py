from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from simulator.hostnodes.catalog import SHIPPED, hostnodes
from tests.simulator.tensordock.stranger import GPU, PAIR, World

CHUBBUCK = "8fe8cd51-b7b4-4062-b80a-ecdebad11b52"


async def test_there_is_a_world_to_choose_from(world: World) -> None:
    hosts = await world.hostnodes()

    countries = {host["location"]["country"] for host in hosts.values()}
    assert len(hosts) >= 30
    assert len(countries) >= 15


async def test_a_switch_can_be_rented_near_dallas(world: World) -> None:
    host = await world.host_in("Dallas")

    free = host["available_resources"]
    assert free["has_public_ip_available"] is True
    assert (free["vcpu_count"] >= 8, free["ram_gb"] >= 16, free["storage_gb"] >= 200) == (True, True, True)
    assert next(gpu for gpu in free["gpus"] if gpu["v0Name"] == GPU)["availableCount"] >= 1


async def test_both_versions_describe_one_stock(world: World) -> None:
    v2 = await world.hostnodes()
    v0 = (await world.v0_get("/client/deploy/hostnodes", **PAIR)).json["hostnodes"]

    assert v2.keys() == {host_id for host_id, host in v0.items() if host["status"]["online"]}
    for host_id, host in v2.items():
        older = v0[host_id]
        assert host["location"]["stateprovince"] == older["location"]["region"]
        assert host["pricing"]["per_vcpu_hr"] == older["specs"]["cpu"]["price"]
        assert host["available_resources"]["available_ports"] == older["networking"]["ports"]
        assert {
            gpu["v0Name"]: (gpu["availableCount"], gpu["price_per_hr"]) for gpu in host["available_resources"]["gpus"]
        } == {model: (gpu["amount"], gpu["price"]) for model, gpu in older["specs"]["gpu"].items()}


async def test_one_hostnode_alone_is_the_one_in_the_list(world: World) -> None:
    listed = (await world.hostnodes())[CHUBBUCK]

    newer = await world.v2("GET", f"/hostnodes/{CHUBBUCK}")
    older = await world.v0_get(f"/client/deploy/hostnodes/{CHUBBUCK}")
    unknown = await world.v2("GET", "/hostnodes/nobody")

    assert newer.json == {"data": listed}
    assert older.json["hostnode"]["location"]["city"] == "Chubbuck"
    assert (unknown.status, unknown.json) == (404, {"error": "Hostnode not found"})


async def test_prices_are_those_of_the_data_file_to_the_last_digit(world: World) -> None:
    gpu = (await world.hostnodes())[CHUBBUCK]["available_resources"]["gpus"][0]

    assert (gpu["v0Name"], gpu["price_per_hr"]) == (GPU, 0.3966)


async def test_locations_are_for_everyone_and_gather_the_hostnodes_of_a_place(world: World) -> None:
    reply = await world.v2("GET", "/locations", headers={})

    locations = {location["city"]: location for location in reply.json["data"]["locations"]}
    frankfurt = {gpu["v0Name"]: gpu["displayName"] for gpu in locations["Frankfurt"]["gpus"]}
    assert frankfurt == {
        GPU: "NVIDIA GeForce RTX 4090 PCIe 24GB",
        "rtxa6000-pcie-48gb": "NVIDIA RTX A6000 PCIe 48GB",
    }
    assert locations["Frankfurt"]["tier"] == 3
    assert len([city for city in locations if city == "Chubbuck"]) == 1


async def test_hosts_name_their_places_as_they_like(world: World) -> None:
    places = {
        (host["location"]["city"], host["location"]["stateprovince"]) for host in (await world.hostnodes()).values()
    }

    assert {("Texas", "Texas"), ("Delaware", "Wilmington"), ("Mölln", "Hamburg"), ("Zürich", "Zürich")} <= places


async def test_the_odd_hostnodes_are_there(world: World) -> None:
    older = (await world.v0_get("/client/deploy/hostnodes", **PAIR)).json["hostnodes"]
    newer = await world.hostnodes()
    capacities = [host["available_resources"].keys() for host in newer.values()]

    assert any(not host["status"]["online"] for host in older.values())
    assert any(host["specs"]["cpu"]["amount"] % 2 for host in older.values())
    assert any(host["specs"]["cpu"]["amount"] == 0 for host in older.values())
    assert any(not host["networking"]["ports"] for host in older.values())
    assert any("dedicated_ip" not in host["networking"] for host in older.values())
    assert any(gpu["amount"] == 0 for host in older.values() for gpu in host["specs"]["gpu"].values())
    assert any("max_vcpus" not in keys for keys in capacities)
    assert any("vcpu_count" not in keys for keys in capacities)


@pytest.fixture
def shipped() -> dict[str, Any]:
    return dict(json.loads(SHIPPED.read_text())["hostnodes"])


@pytest.mark.parametrize(
    ("query", "excluded"),
    [
        ({"minVRAM": "40"}, lambda host: all(gpu["vram"] < 40 for gpu in host["specs"]["gpu"].values())),
        ({"minvCPUs": "60"}, lambda host: host["specs"]["cpu"]["amount"] < 60),
        ({"requiresGTX": "true"}, lambda host: not any(gpu["gtx"] for gpu in host["specs"]["gpu"].values())),
    ],
)
async def test_version_0_filters_coarsely(world: World, query: dict[str, str], excluded: object) -> None:
    assert callable(excluded)
    every = (await world.v0_get("/client/deploy/hostnodes")).json["hostnodes"]

    filtered = (await world.v0_get("/client/deploy/hostnodes", **query)).json["hostnodes"]

    assert filtered.keys() == {host_id for host_id, host in every.items() if not excluded(host)}
    assert filtered


async def test_a_reserved_hostnode_shows_only_to_its_organization(world: World) -> None:
    to_anyone = (await world.v0_get("/client/deploy/hostnodes")).json["hostnodes"]
    to_us = (await world.v0_get("/client/deploy/hostnodes", **PAIR)).json["hostnodes"]

    assert [to_us[host_id]["location"]["city"] for host_id in to_us.keys() - to_anyone.keys()] == ["Sao Paulo"]


async def test_renting_takes_from_the_stock_and_deleting_gives_back(world: World) -> None:
    before = await world.host_in("Dallas")
    machine_id = await world.rented()

    during = await world.host_in("Dallas")
    await world.v2("DELETE", f"/instances/{machine_id}")
    await world.until_status(machine_id, "gone")
    after = await world.host_in("Dallas")

    free, left = before["available_resources"], during["available_resources"]
    assert free["vcpu_count"] - left["vcpu_count"] == 8
    assert free["ram_gb"] - left["ram_gb"] == 16
    assert free["storage_gb"] - left["storage_gb"] == 200
    assert free["gpus"][0]["availableCount"] - left["gpus"][0]["availableCount"] == 1
    assert after == before


async def test_empty_stock_is_an_ordinary_answer(world: World) -> None:
    await world.fault("empty-stock", times=2)

    hostnodes_ = await world.v2("GET", "/hostnodes")
    locations = await world.v2("GET", "/locations")

    assert (hostnodes_.status, hostnodes_.json) == (200, {"data": {"hostnodes": []}})
    assert (locations.status, locations.json) == (200, {"data": {"locations": []}})
    assert len(await world.hostnodes()) >= 30


async def test_stale_stock_shows_what_is_long_rented(world: World) -> None:
    before = await world.host_in("Dallas")
    await world.rented()

    await world.fault("stale-stock")

    assert await world.host_in("Dallas") == before
    assert await world.host_in("Dallas") != before


def test_a_seed_moves_the_stock_a_little_and_never_a_price() -> None:
    one, same, other = hostnodes(1), hostnodes(1), hostnodes(2)

    assert one == same
    assert one != other
    assert [host.gpus[model].usd_per_hour for host in one.values() for model in host.gpus] == [
        host.gpus[model].usd_per_hour for host in other.values() for model in host.gpus
    ]
    assert one[CHUBBUCK].gpus[GPU].usd_per_hour == Decimal("0.3966")


async def test_version_0_keeps_its_documented_shape(world: World, shipped: dict[str, Any]) -> None:
    served = (await world.v0_get("/client/deploy/hostnodes", **PAIR)).json

    assert served["success"] is True
    assert served["hostnodes"].keys() == shipped.keys()
    for host_id, host in served["hostnodes"].items():
        assert host["location"] == shipped[host_id]["location"]
        assert host["status"] == shipped[host_id]["status"]
        assert host["specs"].get("restrictions") == shipped[host_id]["specs"].get("restrictions")
        assert host["specs"]["cpu"] == shipped[host_id]["specs"]["cpu"]
