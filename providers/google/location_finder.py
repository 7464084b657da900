"""Google's Cloud Location Finder over REST: the regions nearest to a region on Google's network.

It accepts no coordinates and returns no latencies: it ranks cloud locations around one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from errors import ProviderBusyError, ProviderRefusedError
from providers.http import Http, Reply, Request
from providers.storage.tokens import Tokens, send_authorised

DEFAULT_URL: Final = "https://cloudlocationfinder.googleapis.com"
_QUERY: Final = "cloud_provider=CLOUD_PROVIDER_GCP AND cloud_location_type=CLOUD_LOCATION_TYPE_REGION"
_MOST_PAGES: Final = 50  # a page may hold fewer items than requested, even none
_REFUSALS: Final = (400, 401, 403, 404)


@dataclass(frozen=True, slots=True)
class CloudLocation:
    """A region. `carbon_free_percent` is None if Google does not publish it; 0 means zero percent."""

    region: str
    carbon_free_percent: float | None


class LocationFinder:
    """Client of the Location Finder.

    Needs a project with the service enabled, the role `cloudlocationfinder.viewer`, and a token with the scope
    `cloud-platform`.
    """

    def __init__(
        self, http: Http, tokens: Tokens, project_id: str, *, url: str = DEFAULT_URL, timeout_s: float = 5.0
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._project_id = project_id
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    async def regions_near(self, region: str) -> list[CloudLocation]:
        """Return the other regions, nearest first.

        Raises ProviderRefusedError if access is denied and ProviderBusyError if there is no usable response.
        """
        found: list[CloudLocation] = []
        page_token = ""
        for _ in range(_MOST_PAGES):
            page = await self._page(region, page_token)
            found.extend(_locations(page))
            turned, page_token = page_token, str(page.get("nextPageToken") or "")
            if not page_token:
                return found
            if page_token == turned:
                break
        raise ProviderBusyError("Location Finder gave no usable response: it has too many pages")

    async def _page(self, region: str, page_token: str) -> dict[str, Any]:
        parent = f"projects/{self._project_id}/locations/global"
        query = {
            "sourceCloudLocation": f"{parent}/cloudLocations/gcp-{region}",
            "query": _QUERY,
            "pageSize": "100",
            **({"pageToken": page_token} if page_token else {}),
        }
        url = f"{self._url}/v1/{parent}/cloudLocations:search?{urlencode(query)}"
        headers = {"x-goog-user-project": self._project_id}
        request = Request("GET", url, headers, timeout_s=self._timeout_s)
        return _parse(await send_authorised(self._http, self._tokens, request))


def _parse(reply: Reply) -> dict[str, Any]:
    if reply.status in _REFUSALS:
        raise ProviderRefusedError(f"Location Finder rejected the request: status {reply.status}")
    try:
        page = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        page = None
    if reply.status != 200 or not isinstance(page, dict):
        raise ProviderBusyError(f"Location Finder gave no usable response: status {reply.status}")
    return page


def _locations(page: dict[str, Any]) -> Iterable[CloudLocation]:
    raws = page.get("cloudLocations") or []
    if not isinstance(raws, list):
        raise ProviderBusyError("Location Finder gave no usable response: not a list")
    for raw in raws:
        if isinstance(raw, dict) and (region := _region_name(raw)):
            yield CloudLocation(region, _percent(raw.get("carbonFreeEnergyPercentage")))


def _region_name(raw: dict[str, Any]) -> str | None:
    """Return the region of a `name`, which ends with provider and region: ".../cloudLocations/gcp-us-east1"."""
    location_id = str(raw.get("name", "")).rpartition("/")[2]
    return location_id.removeprefix("gcp-") if location_id.startswith("gcp-") else None


def _percent(raw: object) -> float | None:
    return float(raw) if isinstance(raw, int | float) and 0 <= raw <= 100 else None
