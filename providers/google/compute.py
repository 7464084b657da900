"""Google Compute Engine over REST: the real state of an instance, and labels by which costs are attributed.

Only CloudyPad creates and deletes machines. It reports `unknown` both for a server that was deleted elsewhere and for
one that it could not query; only Google can distinguish the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.google.errors import failure_in, is_transient
from providers.http import Http, Reply, Request
from providers.redaction import clean_line
from providers.storage.tokens import Tokens, send_authorised

COMPUTE_URL: Final = "https://compute.googleapis.com"
_MOST_PAGES: Final = 20
_TRIES: Final = 2
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class GoogleServer:
    """An instance as Google describes it. `status` is Google's term, `disks` are paths below `projects/`."""

    path: str
    status: str
    labels: Mapping[str, str]
    fingerprint: str
    disks: tuple[str, ...]
    stopped_at: datetime | None = None


class _OvertakenError(ProviderBusyError):
    """Labels were changed after we read them, most likely by another process of ours."""


class ComputeEngine:
    """Reads instances and sets labels.

    Needs `compute.instances.get` and `list`, and for labels `compute.instances.setLabels`, `compute.disks.get` and
    `setLabels`. `within_s` limits one request, including its pages and its second try.
    """

    def __init__(
        self, http: Http, tokens: Tokens, project: str, *, url: str = COMPUTE_URL, within_s: float = 15.0
    ) -> None:
        self._http = http
        self._tokens = tokens
        self.project = project
        self._base = f"{url.rstrip('/')}/compute/v1/projects/"
        self._within_s = within_s

    async def server(self, name: str, zone: str, label: tuple[str, str]) -> GoogleServer | None:
        """Return the instance of this name in this zone, else in any zone, else one with this label.

        Returns None if Google states that there is none. Raises a ProviderError if it does not respond.
        """
        path = f"{quote(self.project)}/zones/{quote(zone, safe='')}/instances/{quote(name, safe='')}"
        async with _time_limit(self._within_s):
            found = await self._resource(path)
            if found is not None:
                return _server(found)
            key, value = label
            return await self._first(f'(name = "{name}") OR (labels.{key} = "{value}")')

    async def set_label(self, server: GoogleServer, key: str, value: str) -> None:
        """Label the disks and then the instance, so that a labelled instance proves that all are labelled.

        If labels change at the same time, the next call continues.
        """
        async with _time_limit(self._within_s):
            with suppress(_OvertakenError):
                for disk in server.disks:
                    found = await self._resource(disk)
                    if found is not None:
                        await self._set_label(disk, _labels(found), str(found.get("labelFingerprint", "")), key, value)
                await self._set_label(server.path, server.labels, server.fingerprint, key, value)

    async def _set_label(self, path: str, labels: Mapping[str, str], fingerprint: str, key: str, value: str) -> None:
        """Add a label and keep the others. Google responds before it has done so; the next read shows it."""
        if labels.get(key) != value:
            body = {"labels": {**labels, key: value}, "labelFingerprint": fingerprint}
            if await self._request("POST", f"{path}/setLabels", body) is None:
                raise ProviderBusyError("Compute Engine no longer knows the resource to be labelled")

    async def list_labelled(self, key: str) -> list[GoogleServer]:
        """Return the project's instances with this label. Raises a ProviderError if the list may be incomplete."""
        async with _time_limit(self._within_s):
            pages = self._pages(f"labels.{key}:*")
            return [_server(raw) async for page in pages for raw in _instances_of(page)]

    async def request(self, method: str, path: str, body: object = None) -> Mapping[str, Any] | None:
        """Send a request about a resource below `projects/`. Returns None if the resource does not exist."""
        async with _time_limit(self._within_s):
            return await self._request(method, path, body)

    async def _first(self, condition: str) -> GoogleServer | None:
        """Return one instance that matches the filter, in any zone."""
        async with aclosing(self._pages(condition)) as pages:
            async for page in pages:
                for raw in _instances_of(page):
                    return _server(raw)
        return None

    async def _pages(self, condition: str) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield pages of instances of all zones.

        A zone that does not respond fails the request, because partial success is not requested.
        """
        token = ""
        for _ in range(_MOST_PAGES):
            query = urlencode({"filter": condition, **({"pageToken": token} if token else {})})
            page = await self._request("GET", f"{quote(self.project)}/aggregated/instances?{query}")
            if page is None or page.get("unreachables"):
                raise ProviderBusyError("Compute Engine did not list every zone")
            yield page
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
        raise ProviderBusyError("Compute Engine's list has too many pages")

    async def _resource(self, path: str) -> Mapping[str, Any] | None:
        return await self._request("GET", path)

    async def _request(self, method: str, path: str, body: object = None) -> Mapping[str, Any] | None:
        """Send a request, once more if Google is busy. Returns None if the path's resource does not exist."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return _read(await self._send(method, path, body), path)
            except _OvertakenError:
                raise
            except ProviderBusyError:
                if not tries_left:
                    raise
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _send(self, method: str, path: str, body: object) -> Reply:
        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = orjson.dumps(body)
        # Longer than the overall time limit: aiohttp's timeout would be mistaken for a single failed request.
        request = Request(method, self._base + path, headers, content, timeout_s=2 * self._within_s)
        return await send_authorised(self._http, self._tokens, request)


@asynccontextmanager
async def _time_limit(within_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        raise ProviderBusyError("Compute Engine did not respond in time") from None


def _read(reply: Reply, path: str) -> Mapping[str, Any] | None:
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise ProviderBusyError(f"Compute Engine gave no usable response: status {reply.status}")
    if reply.status == 200:
        return document
    said = failure_in(document)
    if reply.status == 404 and _is_about(path, str(said.get("message", ""))):
        return None
    if reply.status == 412:
        raise _OvertakenError("Compute Engine: the labels have been changed since they were read (412)")
    raise _error(reply.status, said)


def _is_about(path: str, message: str) -> bool:
    """Return whether a 404 is about this resource.

    It may also mean that the project or the API does not exist, which proves nothing about the machine.
    """
    kind_and_name = "/".join(path.removesuffix("/setLabels").split("/")[-2:])
    return f"/{kind_and_name}'" in message


def _error(status: int, said: Mapping[str, Any]) -> ProviderError:
    words = f"Compute Engine: {clean_line(str(said.get('message', 'no reason given')))} ({status})"
    if status in (400, 401, 403, 404) and not is_transient(said):
        return ProviderRefusedError(words)
    return ProviderBusyError(words)


def _instances_of(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    scopes = page.get("items")
    for scope in scopes.values() if isinstance(scopes, dict) else ():
        instances = scope.get("instances") if isinstance(scope, dict) else None
        yield from (one for one in (instances if isinstance(instances, list) else ()) if isinstance(one, dict))


def _server(raw: Mapping[str, Any]) -> GoogleServer:
    disks = raw.get("disks")
    sources = (
        [str(disk.get("source", "")) for disk in disks if isinstance(disk, dict)] if isinstance(disks, list) else []
    )
    return GoogleServer(
        path=_below_projects(str(raw.get("selfLink", ""))),
        status=str(raw.get("status", "")),
        labels=_labels(raw),
        fingerprint=str(raw.get("labelFingerprint", "")),
        disks=tuple(path for path in map(_below_projects, sources) if path),
        stopped_at=moment_of(raw.get("lastStopTimestamp")),
    )


def moment_of(value: object) -> datetime | None:
    """Return the time in Google's text; None if it has none."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _below_projects(link: str) -> str:
    return link.partition("/projects/")[2]


def _labels(raw: Mapping[str, Any]) -> dict[str, str]:
    labels = raw.get("labels")
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
