"""The table of REST paths: the trusted document that each one runs, and the sources of its variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """Part of a request."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from. Without a name, it is the whole body."""

    part: Part
    name: str = ""


def path(name: str) -> Source:
    """Return the source of a path parameter."""
    return Source(Part.PATH, name)


def query(name: str) -> Source:
    """Return the source of a query parameter."""
    return Source(Part.QUERY, name)


def body(name: str = "") -> Source:
    """Return the source of a body field, or of the whole body."""
    return Source(Part.BODY, name)


@dataclass(frozen=True, slots=True)
class RestPath:
    """One row of the table.

    `document` is a file in graphql/operations/. `variables` maps its variables, or fields of inputs with dots, to their
    sources. `earlier` lists former names of the path, which still work.
    """

    methods: tuple[str, ...]
    path: str
    document: str
    variables: Mapping[str, Source] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()


def _queries(*names: str) -> dict[str, Source]:
    """Return variables with the same name in the query string."""
    return {name: query(name) for name in names}


_ID: Final = path("id")
_NEAR: Final = {"from.latitude": query("latitude"), "from.longitude": query("longitude")}
_PAGE: Final = _queries("first", "after")
# The earlier API used PUT for power commands.
_POWER: Final = ("POST", "PUT")

# If two paths match a request, the first one is used.
PATHS: Final[tuple[RestPath, ...]] = (
    RestPath(("GET",), "/vms", "Vms", {**_queries("status", "userId"), **_PAGE}),
    RestPath(("POST",), "/vms", "CreateVm", {"input": body()}),
    RestPath(("GET",), "/vms/{id}", "Vm", {"id": _ID}),
    RestPath(("DELETE",), "/vms/{id}", "DeleteVm", {"vmId": _ID}),
    RestPath(_POWER, "/vms/{id}/start", "StartVm", {"vmId": _ID}),
    RestPath(_POWER, "/vms/{id}/stop", "StopVm", {"vmId": _ID}),
    RestPath(_POWER, "/vms/{id}/restart", "RestartVm", {"vmId": _ID}),
    RestPath(("POST",), "/vms/{id}/pair", "PairClient", {"vmId": _ID, "pin": body("pin")}),
    RestPath(("GET",), "/launch", "Launches", {**_queries("status", "userId"), **_PAGE}),
    RestPath(("POST",), "/launch", "LaunchGame", {"input": body()}, ("/launch/game",)),
    RestPath(("POST",), "/launch/vm/{id}/game", "LaunchGame", {"input": body(), "input.vmId": _ID}),
    RestPath(
        ("GET",),
        "/launch/placements",
        "Placements",
        {**_queries("console", "provider", "limit"), **_NEAR},
    ),
    RestPath(
        ("GET",),
        "/launch/hostnodes",
        "Hostnodes",
        {**_queries("console"), **_PAGE},
        ("/launch/hostnodes/available",),
    ),
    RestPath(("GET",), "/launch/hostnodes/closest", "ClosestHostnodes", {**_queries("console", "limit"), **_NEAR}),
    RestPath(("GET",), "/launch/locations", "Locations", earlier=("/launch/locations/summary",)),
    RestPath(("GET",), "/launch/regions", "Regions", _queries("console"), ("/launch/gcp/regions/all",)),
    RestPath(
        ("GET",),
        "/launch/regions/closest",
        "ClosestRegions",
        {**_queries("console", "limit"), **_NEAR},
        ("/launch/gcp/regions/closest",),
    ),
    RestPath(("GET",), "/launch/{id}", "Launch", {"id": _ID}),
    RestPath(("DELETE",), "/launch/{id}", "CancelLaunch", {"launchId": _ID}),
    RestPath(("GET",), "/launch/{id}/progress", "LaunchProgress", {"launchId": _ID, **_queries("after")}),
    RestPath(("GET",), "/config/consoles", "Consoles", earlier=("/config/emulators",)),
    RestPath(
        ("GET",), "/config/consoles/{console}", "Console", {"type": path("console")}, ("/config/emulators/{console}",)
    ),
    RestPath(
        ("PUT",),
        "/config/consoles/{console}",
        "ConfigureConsole",
        {"input": body(), "input.console": path("console")},
        ("/config/emulators/{console}",),
    ),
    RestPath(("GET",), "/config/games", "Games", {**_queries("console"), **_PAGE}),
    RestPath(("GET",), "/config/providers", "Providers"),
    RestPath(
        ("GET",),
        "/billing/costs",
        "CostReport",
        _queries("start", "end", "granularity", "groupBy", "userId", "basis"),
        ("/billing/usage/custom",),
    ),
    RestPath(
        ("GET",),
        "/billing/current",
        "CurrentMonthCosts",
        _queries("groupBy", "userId"),
        ("/billing/costs/current-month",),
    ),
    RestPath(("GET",), "/billing/estimate", "CostEstimate", {**_queries("console", "hours", "provider"), **_NEAR}),
    RestPath(("GET",), "/billing/alerts", "SpendingAlerts", _queries("dailyLimit", "monthlyLimit", "userId")),
    RestPath(("GET",), "/billing/limits", "SpendingLimits", _queries("userId")),
    RestPath(("PUT",), "/billing/limits", "SetSpendingLimit", {"input": body()}),
    RestPath(
        ("DELETE",),
        "/billing/limits",
        "RemoveSpendingLimit",
        {"input.period": query("period"), "input.userId": query("userId")},
    ),
)
