from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from errors import ProviderBusyError, ProviderRefusedError
from providers.google.location_finder import CloudLocation, LocationFinder
from providers.http import Http
from providers.storage.tokens import NoTokens


class FixedToken(NoTokens):
    async def token(self) -> str:
        return "canary-token"


@dataclass
class FakeLocationFinder:
    """Answers with its pages, one a request; `faults` come first."""

    url: str = ""
    pages: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[web.Response] = field(default_factory=deque)
    requests: list[web.Request] = field(default_factory=list)

    async def search(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if self.faults:
            return self.faults.popleft()
        return web.json_response(self.pages[int(request.query.get("pageToken", "0"))])


@pytest.fixture
async def google() -> AsyncIterator[FakeLocationFinder]:
    fake = FakeLocationFinder()
    app = web.Application()
    app.router.add_get("/v1/projects/gamer-prod/locations/global/cloudLocations:search", fake.search)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def finder(google: FakeLocationFinder) -> AsyncIterator[LocationFinder]:
    http = Http()
    yield LocationFinder(http, FixedToken(), "gamer-prod", url=google.url)
    await http.close()


def location(region: str, **more: object) -> dict[str, object]:
    return {
        "name": f"projects/gamer-prod/locations/global/cloudLocations/gcp-{region}",
        "displayName": region,
        "cloudProvider": "CLOUD_PROVIDER_GCP",
        "cloudLocationType": "CLOUD_LOCATION_TYPE_REGION",
        **more,
    }


async def test_all_pages_are_read_in_googles_order(google: FakeLocationFinder, finder: LocationFinder) -> None:
    google.pages = [
        {
            "cloudLocations": [location("europe-west1", carbonFreeEnergyPercentage=84.0), location("europe-west3")],
            "nextPageToken": "1",
        },
        {"cloudLocations": [location("us-east4", carbonFreeEnergyPercentage=0)]},
    ]

    found = await finder.regions_near("europe-west4")

    assert found == [
        CloudLocation("europe-west1", 84.0),
        CloudLocation("europe-west3", None),  # unset is unknown,
        CloudLocation("us-east4", 0.0),  # zero is zero
    ]
    first = google.requests[0]
    assert first.query["sourceCloudLocation"] == "projects/gamer-prod/locations/global/cloudLocations/gcp-europe-west4"
    assert first.query["query"] == (
        "cloud_provider=CLOUD_PROVIDER_GCP AND cloud_location_type=CLOUD_LOCATION_TYPE_REGION"
    )
    assert first.headers["Authorization"] == "Bearer canary-token"
    assert first.headers["x-goog-user-project"] == "gamer-prod"


async def test_other_clouds_and_odd_entries_are_left_out(google: FakeLocationFinder, finder: LocationFinder) -> None:
    aws = {"name": "projects/gamer-prod/locations/global/cloudLocations/aws-us-east-1"}
    google.pages = [{"cloudLocations": [aws, {}, "text", location("us-east1", carbonFreeEnergyPercentage="much")]}]

    assert await finder.regions_near("us-east4") == [CloudLocation("us-east1", None)]


async def test_no_neighbours_are_an_answer(google: FakeLocationFinder, finder: LocationFinder) -> None:
    google.pages = [{"cloudLocations": None}]

    assert await finder.regions_near("us-east4") == []


async def test_short_and_empty_pages_are_turned_to_the_last(google: FakeLocationFinder, finder: LocationFinder) -> None:
    google.pages = [{"nextPageToken": str(number)} for number in range(1, 10)]
    google.pages.append({"cloudLocations": [location("us-east1")], "nextPageToken": None})

    assert await finder.regions_near("us-east4") == [CloudLocation("us-east1", None)]


async def test_pages_that_lead_in_a_circle_are_no_answer(google: FakeLocationFinder, finder: LocationFinder) -> None:
    google.pages = [{"cloudLocations": [location("us-east1")], "nextPageToken": "0"}]

    with pytest.raises(ProviderBusyError, match="too many pages"):
        await finder.regions_near("us-east4")

    assert len(google.requests) == 2


async def test_pages_without_end_are_not_followed_for_ever(google: FakeLocationFinder, finder: LocationFinder) -> None:
    google.pages = [{"nextPageToken": str(number)} for number in range(1, 100)]

    with pytest.raises(ProviderBusyError, match="too many pages"):
        await finder.regions_near("us-east4")

    assert len(google.requests) == 50


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_is_called_one(google: FakeLocationFinder, finder: LocationFinder, status: int) -> None:
    google.faults.append(web.json_response({"error": {"status": "PERMISSION_DENIED"}}, status=status))

    with pytest.raises(ProviderRefusedError) as refused:
        await finder.regions_near("us-east4")

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "fault",
    [
        web.json_response({"error": {"code": 429}}, status=429),
        web.json_response({}, status=503),
        web.Response(text="<html>", content_type="text/html"),
        web.json_response([1]),
        web.json_response({"cloudLocations": "all of them"}),
    ],
    ids=["429", "503", "html", "list", "no-list"],
)
async def test_no_usable_answer_may_be_asked_for_again(
    google: FakeLocationFinder, finder: LocationFinder, fault: web.Response
) -> None:
    google.faults.append(fault)

    with pytest.raises(ProviderBusyError):
        await finder.regions_near("us-east4")


async def test_without_credentials_none_are_sent(google: FakeLocationFinder) -> None:
    google.pages = [{}]
    http = Http()

    await LocationFinder(http, NoTokens(), "gamer-prod", url=google.url).regions_near("us-east4")
    await http.close()

    assert "Authorization" not in google.requests[0].headers
