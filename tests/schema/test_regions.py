"""Google's regions through the documents that the web app sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from billing.limits import SpendingLimits
from launch.service import LaunchService
from placement.geocoding import Geocoder
from placement.ranking import Placements
from providers.base import ProviderName
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad, CloudyPadOptions
from providers.google.regions import regions
from providers.registry import Registry
from providers.storage.tokens import NoTokens
from schema.ids import global_id
from tests.gateway import ANN, DALLAS, GatewayWorld, a_vm
from tests.placement.test_google_ranking import CITIES

AUCKLAND = {"latitude": -36.8485, "longitude": 174.7633}
PARIS = {"latitude": 48.8566, "longitude": 2.3522}


@pytest.fixture
async def both(gateway: GatewayWorld, tmp_path: Path) -> AsyncIterator[GatewayWorld]:
    """A gateway with Google Cloud beside the other cloud."""
    program = tmp_path / "cloudypad"
    program.write_text("#!/bin/sh\necho 0.45.2\n")
    program.chmod(0o755)
    google = CloudyPad(
        CloudyPadOptions("project-1", tmp_path / "key"),
        CloudyPadCli(str(program), tmp_path / "home"),
        NoTokens(),
        today=lambda: date(2026, 11, 21),
    )
    registry, geocoder = Registry([gateway.cloud, google]), Geocoder(gateway.db)
    placements = Placements(gateway.db, registry, geocoder)
    launches = LaunchService(
        gateway.db, gateway.engine, registry, placements, gateway.library, SpendingLimits(gateway.db)
    )
    gateway.services = replace(gateway.services, registry=registry, placements=placements, launches=launches)
    yield gateway
    await google.close()
    await geocoder.close()


async def test_all_regions_are_told_and_with_a_console_those_that_offer_its_machine(both: GatewayWorld) -> None:
    everywhere = (await both.data("Regions"))["regions"]
    for_switch = (await both.data("Regions", console="SWITCH"))["regions"]

    assert [region["name"] for region in everywhere] == list(regions())
    assert {region["name"] for region in for_switch} == {name for name, one in regions().items() if one.gpu_zones}
    (belgium,) = [region for region in everywhere if region["name"] == "europe-west1"]
    assert belgium == {
        "id": global_id("Region", "europe-west1"),
        "name": "europe-west1",
        "continent": "Europe",
        "zones": ["europe-west1-b", "europe-west1-c", "europe-west1-d"],
        "gpuModels": ["nvidia-l4", "nvidia-tesla-t4"],
        "carbonFreeEnergyPercent": 84.0,
        "location": {
            "city": "St. Ghislain",
            "country": "Belgium",
            "countryCode": "BE",
            "coordinates": {"latitude": 50.469, "longitude": 3.8658},
        },
    }


async def test_the_closest_regions_are_those_that_can_be_used(both: GatewayWorld) -> None:
    found = (await both.data("ClosestRegions", console="SWITCH", limit=3, **{"from": PARIS}))["closestRegions"]

    assert [placement["site"]["name"] for placement in found] == ["europe-west1", "europe-west2", "europe-west3"]
    first = found[0]
    assert first["site"]["fits"]
    assert Decimal(first["hourlyPrice"]) == Decimal(first["site"]["hourlyPrice"]) > 1
    assert "order of Google's regions by distance: no Google project is set up for Location Finder" in first["reasons"]


async def test_everybody_is_sent_to_the_region_that_a_look_at_the_map_names(both: GatewayWorld) -> None:
    sent = {}
    for city, latitude, longitude, _ in CITIES:
        near = {"latitude": latitude, "longitude": longitude}
        (nearest,) = (await both.data("ClosestRegions", console="SWITCH", limit=1, **{"from": near}))["closestRegions"]
        sent[city] = nearest["site"]["name"]

    assert len(CITIES) > 20
    assert sent == {city: region for city, _, _, region in CITIES}


async def test_placements_are_of_both_clouds_and_say_why_the_first_is_first(both: GatewayWorld) -> None:
    found = (await both.data("Placements", console="SWITCH", limit=20, **{"from": DALLAS}))["placements"]

    clouds = [placement["provider"] for placement in found]
    assert (clouds[0], set(clouds)) == ("TENSORDOCK", {"TENSORDOCK", "CLOUDYPAD"})
    assert found[0]["reasons"][-2] == "first: 19 ms closer than the next, which outweighs 0.05 USD per hour more"
    far_away = (await both.data("Placements", console="SWITCH", limit=1, **{"from": AUCKLAND}))["placements"]
    assert (far_away[0]["provider"], far_away[0]["site"]["location"]["city"]) == ("CLOUDYPAD", "Sydney")


async def test_a_region_is_found_by_its_id_and_as_the_site_of_a_machine(both: GatewayWorld) -> None:
    vm = a_vm("200000000000000001", provider=ProviderName.CLOUDYPAD)
    vm.place.site_id = "us-central1"
    await both.db.insert(vm)

    found = await both.data(
        "query($region: ID!, $vm: ID!) { node(id: $region) { ... on Region { name distanceKm(from: "
        "{latitude: 0, longitude: 1}) } } vm(id: $vm) { site { ... on Region { name } } } }",
        region=global_id("Region", "us-central1"),
        vm=global_id("VM", vm.id),
    )

    assert found["node"]["name"] == found["vm"]["site"]["name"] == "us-central1"
    assert 10_000 < found["node"]["distanceKm"] < 11_000
    assert (await both.data("Node", ANN, id=global_id("Region", "mars-north1")))["node"] is None


async def test_without_a_google_project_regions_are_unavailable(gateway: GatewayWorld) -> None:
    error = await gateway.error("Regions")

    assert error["extensions"]["code"] == "PROVIDER_UNAVAILABLE"
