"""Google's Location Finder over REST: the regions nearest to a region.

The real one orders them by round trips in its network; here it is distance.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

PARENT = re.compile(r"/v1/(projects/[^/]+/locations/global)/cloudLocations(:search|/[a-z0-9-]+)?")
CONDITION = re.compile(r'\b(\w+)\s*(!=|=|<|>)\s*"?([\w./-]+)"?')
EARTH_RADIUS_KM = 6371.0
PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Place:
    region: str
    country: str
    latitude: float
    longitude: float
    carbon_free_share: float | None

    def described(self, parent: str) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": f"{parent}/cloudLocations/gcp-{self.region}",
            "displayName": self.region,
            "cloudProvider": "CLOUD_PROVIDER_GCP",
            "territoryCode": self.country,
            "cloudLocationType": "CLOUD_LOCATION_TYPE_REGION",
        }
        if self.carbon_free_share is not None:
            described["carbonFreeEnergyPercentage"] = round(100 * self.carbon_free_share, 1)
        return described


class LocationFinderApi:
    def __init__(self) -> None:
        self.fault: int | None = None  # a status that every request is answered with

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/projects/{path:.*}", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        if self.fault:
            return _error(self.fault, "ordered")
        found = PARENT.fullmatch(unquote(request.rel_url.raw_path))
        if not found:
            return _error(404, "Method not found.")
        parent, what = found.groups()
        if what == ":search":
            return _search(parent, request)
        if what:
            place = _by_id(what.removeprefix("/"))
            return web.json_response(place.described(parent)) if place else _error(404, "Resource not found.")
        ordered = sorted(places(), key=lambda one: (-(one.carbon_free_share or 0.0), one.region))
        return _page(request, parent, _matching(ordered, parent, request.query.get("filter", "")))


def _search(parent: str, request: web.Request) -> web.Response:
    source = _by_id(request.query.get("sourceCloudLocation", "").rpartition("/")[2])
    if not source:
        return _error(400, "Request contains an invalid argument: source_cloud_location.")
    others = [place for place in places() if place != source]
    ordered = sorted(others, key=lambda one: (distance_km(source, one), one.region))
    return _page(request, parent, _matching(ordered, parent, request.query.get("query", "")))


@cache
def places() -> tuple[Place, ...]:
    rows = json.loads((Path(__file__).parent / "regions.json").read_text())["regions"]
    return tuple(Place(row["region"], row["country"], row["lat"], row["lon"], row["cfe"]) for row in rows)


def distance_km(one: Place, other: Place) -> float:
    first, second = math.radians(one.latitude), math.radians(other.latitude)
    across = math.radians(other.longitude - one.longitude)
    half = math.sin((second - first) / 2) ** 2 + math.cos(first) * math.cos(second) * math.sin(across / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half))


def _by_id(location_id: str) -> Place | None:
    return next((place for place in places() if f"gcp-{place.region}" == location_id), None)


def _matching(found: list[Place], parent: str, text: str) -> list[Place]:
    """Return the regions that meet all conditions; only those that are used are known."""
    names = {
        "cloud_provider": "cloudProvider",
        "cloud_location_type": "cloudLocationType",
        "territory_code": "territoryCode",
        "display_name": "displayName",
        "carbon_free_energy_percentage": "carbonFreeEnergyPercentage",
    }
    for field, sign, value in CONDITION.findall(text):
        key = names.get(field, field)
        found = [place for place in found if _holds(place.described(parent).get(key), sign, value)]
    return found


def _holds(actual: Any, sign: str, value: str) -> bool:
    if sign in "<>":
        return actual is not None and (actual < float(value) if sign == "<" else actual > float(value))
    return (str(actual) == value) is (sign == "=")


def _page(request: web.Request, parent: str, found: list[Place]) -> web.Response:
    size = min(int(request.query.get("pageSize") or PAGE_LIMIT), PAGE_LIMIT)
    start = int(request.query.get("pageToken") or 0)
    body: dict[str, Any] = {"cloudLocations": [place.described(parent) for place in found[start : start + size]]}
    if start + size < len(found):
        body["nextPageToken"] = str(start + size)
    return web.json_response(body)


def _error(status: int, message: str) -> web.Response:
    names = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    error = {"code": status, "message": message, "status": names.get(status, "UNAVAILABLE")}
    return web.json_response({"error": error}, status=status)
