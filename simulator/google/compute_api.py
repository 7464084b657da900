"""Google's Compute Engine over REST: instances by name or in all zones, labels on them and their disks."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from simulator.google.compute import GoogleMachines, Server

BASE = "/compute/v1/projects/{project}"
SELF_LINK = "https://www.googleapis.com/compute/v1/projects/"
# `name = "a"`, `labels.key = "b"`, `labels.key:*` (has this label), and these joined by OR.
CONDITION = re.compile(r'\(?\s*(name|labels\.[a-z0-9_-]+)\s*[=:]\s*"?([a-z0-9_-]+|\*)"?\s*\)?')
PAGE_LIMIT = 500
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")

Handler = Callable[[web.Request], Awaitable[web.Response]]


class RefusedError(Exception):
    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ComputeApi:
    """The routes. `fault` is a status that answers every request while it is set."""

    def __init__(self, machines: GoogleMachines) -> None:
        self.fault: int | None = None
        self._machines = machines

    def add_routes(self, router: web.UrlDispatcher) -> None:
        zone = f"{BASE}/zones/{{zone}}"
        router.add_get(f"{zone}/instances/{{name}}", self._told(self._instance))
        router.add_get(f"{zone}/disks/{{name}}", self._told(self._disk))
        router.add_post(f"{zone}/{{kind:instances|disks}}/{{name}}/setLabels", self._told(self._set_labels))
        router.add_get(f"{BASE}/aggregated/instances", self._told(self._aggregated))

    async def _instance(self, request: web.Request) -> web.Response:
        return web.json_response(_instance(self._found(request, "instances")))

    async def _disk(self, request: web.Request) -> web.Response:
        server, name = self._found(request, "disks"), request.match_info["name"]
        return web.json_response(_disk(server, name))

    async def _set_labels(self, request: web.Request) -> web.Response:
        """Set labels, and answer with an operation, which is done at once."""
        server, name = self._found(request, request.match_info["kind"]), request.match_info["name"]
        body = await request.json()
        labels = body.get("labels") if isinstance(body, dict) else None
        if not isinstance(labels, dict) or not all(_is_label(key, value) for key, value in labels.items()):
            raise RefusedError(400, "Invalid value for field 'labels'.", "invalid")
        if body.get("labelFingerprint") != _fingerprint(server.labels.get(name, {})):
            raise RefusedError(
                412, "Labels fingerprint either invalid or resource labels have changed", "conditionNotMet"
            )
        self._machines.label(server, name, labels)
        return web.json_response({"kind": "compute#operation", "operationType": "setLabels", "status": "RUNNING"})

    async def _aggregated(self, request: web.Request) -> web.Response:
        """Answer with all zones, those without an instance too. `pageToken` is the number of the first zone."""
        project = request.match_info["project"]
        wanted = _wanted(request.query.get("filter", ""))
        servers = [one for one in self._machines.all() if one.exists and one.project_id == project and wanted(one)]
        first = int(request.query.get("pageToken") or 0)
        size = min(int(request.query.get("maxResults") or PAGE_LIMIT), PAGE_LIMIT)
        items: dict[str, Any] = {}
        for server in servers[first : first + size]:
            items.setdefault(f"zones/{server.zone}", {"instances": []})["instances"].append(_instance(server))
        empty = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this scope."}}
        more = {"nextPageToken": str(first + size)} if first + size < len(servers) else {}
        return web.json_response({"kind": "compute#instanceAggregatedList", "items": items or {"global": empty}} | more)

    def _found(self, request: web.Request, kind: str) -> Server:
        project, zone, name = (request.match_info[key] for key in ("project", "zone", "name"))
        for server in self._machines.all():
            if (server.project_id, server.zone) == (project, zone) and name in _names(server, kind):
                return server
        message = f"The resource 'projects/{project}/zones/{zone}/{kind}/{name}' was not found"
        raise RefusedError(404, message, "notFound")

    def _told(self, handler: Handler) -> Handler:
        async def told(request: web.Request) -> web.Response:
            if self.fault:
                raise RefusedError(self.fault, "ordered", "ordered")
            return await handler(request)

        return errors_as_json(told)


def errors_as_json(handler: Handler) -> Handler:
    async def explained(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (ValueError, json.JSONDecodeError):
            return _refusal(RefusedError(400, "Invalid value.", "invalid"))
        except RefusedError as error:
            return _refusal(error)

    return explained


def _names(server: Server, kind: str) -> tuple[str, ...]:
    """Return the resources with labels. A server that vanished has left its disks, one that was given up has not."""
    if kind == "instances":
        return (server.instance_name,) if server.exists else ()
    return () if server.status == "GIVEN_UP" else (server.instance_name, f"{server.instance_name}-data")


def _instance(server: Server) -> dict[str, Any]:
    labels = server.labels.get(server.instance_name, {})
    return {
        "kind": "compute#instance",
        "name": server.instance_name,
        "status": server.status,
        "zone": f"{SELF_LINK}{server.project_id}/zones/{server.zone}",
        "selfLink": _link(server, "instances", server.instance_name),
        "disks": [
            {"boot": number == 0, "source": _link(server, "disks", name)}
            for number, name in enumerate(_names(server, "disks"))
        ],
        "scheduling": {"provisioningModel": "SPOT" if server.spot else "STANDARD"},
        **({"lastStopTimestamp": server.stopped_at} if server.stopped_at else {}),
        **({"labels": labels} if labels else {}),
        "labelFingerprint": _fingerprint(labels),
    }


def _disk(server: Server, name: str) -> dict[str, Any]:
    labels = server.labels.get(name, {})
    return {
        "kind": "compute#disk",
        "name": name,
        "status": "READY",
        "selfLink": _link(server, "disks", name),
        **({"labels": labels} if labels else {}),
        "labelFingerprint": _fingerprint(labels),
    }


def _link(server: Server, kind: str, name: str) -> str:
    return f"{SELF_LINK}{server.project_id}/zones/{server.zone}/{kind}/{name}"


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:11] + "="


def _wanted(condition: str) -> Callable[[Server], bool]:
    """Parse a filter. Raises RefusedError for filters that real Google may know and this does not."""
    parts = [part.strip() for part in condition.split(" OR ")] if condition else []
    found = [CONDITION.fullmatch(part) for part in parts]
    pairs = [match.groups() for match in found if match]
    if len(pairs) != len(parts):
        raise RefusedError(400, "Invalid value for field 'filter'.", "invalid")
    return lambda server: not pairs or any(_matches(_value(server, key), value) for key, value in pairs)


def _matches(found: str | None, value: str) -> bool:
    return found is not None if value == "*" else found == value


def _value(server: Server, key: str) -> str | None:
    if key == "name":
        return server.instance_name
    return server.labels.get(server.instance_name, {}).get(key.removeprefix("labels."))


def _is_label(key: object, value: object) -> bool:
    return bool(LABEL_KEY.fullmatch(str(key))) and isinstance(value, str) and bool(LABEL_VALUE.fullmatch(value))


def _refusal(error: RefusedError) -> web.Response:
    details = [{"message": str(error), "domain": "global", "reason": error.reason}]
    body = {"error": {"code": error.status, "message": str(error), "errors": details}}
    return web.json_response(body, status=error.status)
