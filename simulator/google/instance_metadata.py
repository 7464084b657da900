"""What the metadata server tells a machine about itself, and how it lets a request wait for a change.

A request with `wait_for_change=true` is answered when the value differs from that of `last_etag`, or from the value at
its arrival, and with `timeout_sec` at the latest after that time, with the unchanged value.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from aiohttp import web

PATH = "/computeMetadata/v1/instance"
PREEMPTED, MAINTENANCE = "preempted", "maintenance-event"
TAKEN, STOPS, NONE = "TRUE", "TERMINATE_ON_HOST_MAINTENANCE", "NONE"
NEW = {PREEMPTED: "FALSE", MAINTENANCE: NONE}


class InstanceMetadata:
    """The values of one machine. `failures` is how many requests are answered with 503."""

    def __init__(self) -> None:
        self.failures = 0
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._values = dict(NEW)
        self._changes = 0
        self._changed = asyncio.Event()

    def write(self, key: str, value: str) -> None:
        self._values[key] = value
        self._changes += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def reset(self) -> None:
        """Forget what was announced: the machine starts anew."""
        for key, value in NEW.items():
            self.write(key, value)

    def read(self, key: str) -> tuple[str, str]:
        """Return a value and its etag. Raises KeyError."""
        value = self._values[key]
        return value, hashlib.sha256(f"{key} {value}".encode()).hexdigest()[:16]

    async def wait(self, key: str, last_etag: str | None, timeout_s: float | None) -> tuple[str, str]:
        """Wait for a change and return the value and its etag. Raises KeyError."""
        before = self.read(key)[1] if last_etag is None else last_etag
        try:
            async with asyncio.timeout(timeout_s):
                while self.read(key)[1] == before:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.read(key)

    def silence(self, *, on: bool) -> None:
        """Answer nothing from now on, or again."""
        (self._speaks.clear if on else self._speaks.set)()

    async def wait_until_it_speaks(self) -> None:
        await self._speaks.wait()


class InstanceMetadataApi:
    """The routes. `find` returns the metadata of the machine with this address, as the real server knows its askers."""

    def __init__(self, find: Callable[[str], InstanceMetadata | None]) -> None:
        self._find = find

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(f"{PATH}/{{key:{PREEMPTED}|{MAINTENANCE}}}", self._value)

    async def _value(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return _said(403, "Missing Metadata-Flavor:Google header.")
        metadata = self._find(request.remote or "")
        if metadata is None:
            return _said(404, "The requested URL was not found on this server.")
        await metadata.wait_until_it_speaks()
        if metadata.failures:
            metadata.failures -= 1
            return _said(503, "Service Unavailable")
        key, query = request.match_info["key"], request.query
        if query.get("wait_for_change") != "true":
            value, etag = metadata.read(key)
        else:
            limit = query.get("timeout_sec", "")
            timeout_s = float(limit) if limit.isdigit() else None
            value, etag = await metadata.wait(key, query.get("last_etag"), timeout_s)
        response = _said(200, value)
        response.headers["ETag"] = etag
        return response


def _said(status: int, text: str) -> web.Response:
    return web.Response(
        status=status, text=text, content_type="application/text", headers={"Metadata-Flavor": "Google"}
    )
