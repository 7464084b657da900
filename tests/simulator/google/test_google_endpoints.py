"""Google's endpoints besides the storage: Location Finder and metadata, over plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulator.google.location_finder import LocationFinderApi
from simulator.google.metadata import TOKEN, MetadataApi

PARENT = "projects/p/locations/global"
REGIONS = "cloud_provider=CLOUD_PROVIDER_GCP AND cloud_location_type=CLOUD_LOCATION_TYPE_REGION"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    application = web.Application()
    LocationFinderApi().add_routes(application.router)
    MetadataApi("p").add_routes(application.router)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_the_nearest_regions_come_first_and_the_source_not_at_all(url: str) -> None:
    found = await _search(url, "us-south1", pageSize="3")

    assert [one["displayName"] for one in found["cloudLocations"]] == ["us-central1", "northamerica-south1", "us-east5"]
    assert found["cloudLocations"][0]["name"] == f"{PARENT}/cloudLocations/gcp-us-central1"
    assert found["nextPageToken"] == "3"


async def test_all_pages_together_are_all_the_other_regions(url: str) -> None:
    names: list[str] = []
    token = ""
    while True:
        page = await _search(url, "europe-west4", pageSize="20", **({"pageToken": token} if token else {}))
        names += [one["displayName"] for one in page["cloudLocations"]]
        token = page.get("nextPageToken", "")
        if not token:
            break

    assert len(names) == len(set(names)) == 42
    assert "europe-west4" not in names


async def test_conditions_are_held(url: str) -> None:
    found = await _search(url, "europe-west4", query=f'{REGIONS} AND territory_code="DE"')

    assert {one["displayName"] for one in found["cloudLocations"]} == {"europe-west3", "europe-west10"}


async def test_a_source_that_is_none_is_an_invalid_argument(url: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/v1/{PARENT}/cloudLocations:search", params={"sourceCloudLocation": "x"}) as answer,
    ):
        words = await answer.json()

    assert (answer.status, words["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_the_metadata_server_gives_a_token_to_who_means_it(url: str) -> None:
    path = f"{url}/computeMetadata/v1/instance/service-accounts/default/token"
    async with aiohttp.ClientSession() as http:
        async with http.get(path, headers={"Metadata-Flavor": "Google"}) as given:
            token = await given.json()
        async with http.get(path) as refused:
            pass

    assert token == {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
    assert refused.status == 403


async def _search(url: str, source: str, **query: str) -> dict[str, Any]:
    where = {"sourceCloudLocation": f"{PARENT}/cloudLocations/gcp-{source}", "query": REGIONS, **query}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/v1/{PARENT}/cloudLocations:search", params=where) as answer,
    ):
        assert answer.status == 200
        return dict(await answer.json())
