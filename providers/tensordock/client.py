"""HTTP client for TensorDock: paths, credentials and request rates. It does not interpret responses.

Version 2 takes the token as a Bearer token; version 0, still needed for the balance, takes key and token as form
fields.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from providers.base import MachineId, OrderPermit
from providers.http import Deadline, Http, Reply, Request
from providers.rate_limiter import RateLimiter
from providers.rate_limits import is_used_up, reset_s
from providers.tensordock.operations import Operation

_SLOW: Final = frozenset({Operation.CREATE, Operation.DELETE})
# Version 0 is being phased out, so orders do not wait long for requests that they can do without.
_DISPENSABLE: Final = frozenset({Operation.READ_BALANCE, Operation.TEST_CREDENTIALS})
_DISPENSABLE_TIMEOUT_S: Final = 10.0


def _ignore_departure() -> None:
    """Ignore the moment when a request is sent."""


class TensorDockClient:
    """Each method sends one request, at the permitted rate, and returns the response whatever its status."""

    def __init__(
        self,
        http: Http,
        url: str,
        token: str,
        key: str | None = None,
        *,
        requests_per_second: float = 1.0,
        timeout_s: float = 30.0,
        slow_timeout_s: float = 60.0,
        leave_within_s: float = 5.0,
    ) -> None:
        """Drop an order that is not sent within `leave_within_s` of its permit."""
        self._http = http
        self._base = base_url(url)
        self._token = token.strip()
        self._key = (key or "").strip()
        self._rate_limiter = RateLimiter(requests_per_second)
        self._timeout_s = timeout_s
        self._slow_timeout_s = slow_timeout_s
        self._leave_within_s = leave_within_s

    @property
    def has_key(self) -> bool:
        """Return whether version 0 can be used, for the balance and for stops that free the GPU."""
        return bool(self._key)

    def without_credentials(self, text: str) -> str:
        """Replace token and key by stars."""
        for secret in filter(None, (self._token, self._key)):
            text = text.replace(secret, "***")
        return text

    def back_off(self, operation: Operation, reply: Reply) -> None:
        """Pause this kind of request after a rejection: as long as the response says, or else longer each time."""
        retry_after = reply.headers.get("retry-after")
        if retry_after is None and (reset := reset_s(reply.headers)) is not None:
            retry_after = str(math.ceil(reset))
        self._rate_limiter.back_off(operation, retry_after)

    async def account(self) -> Reply:
        return await self._v2(Operation.READ_ACCOUNT, "POST", "auth/test", {})

    async def hostnodes(self) -> Reply:
        return await self._v2(Operation.LIST_HOSTNODES, "GET", "hostnodes")

    async def locations(self) -> Reply:
        return await self._v2(Operation.LIST_LOCATIONS, "GET", "locations")

    async def instances(self, departing: Callable[[], None]) -> Reply:
        """List the instances. `departing` is called at the moment when the request is sent."""
        return await self._v2(Operation.LIST_INSTANCES, "GET", "instances", departing=departing)

    async def instance(self, machine_id: MachineId) -> Reply:
        return await self._v2(Operation.GET_INSTANCE, "GET", _instance(machine_id))

    async def create(self, attributes: Mapping[str, object], permit: OrderPermit) -> Reply:
        """Send an order, calling `permit` just before. Raises NothingSentError if it could not be sent soon after."""
        body = {"data": {"type": "virtualmachine", "attributes": attributes}}
        request = self._version_2(Operation.CREATE, "POST", "instances", body)
        await self._rate_limiter.wait_for_turn(Operation.CREATE)
        leave_by = Deadline(self._leave_within_s)
        await permit()
        return await self._send(Operation.CREATE, replace(request, leave_by=leave_by))

    async def delete(self, machine_id: MachineId) -> Reply:
        return await self._v2(Operation.DELETE, "DELETE", _instance(machine_id))

    async def start(self, machine_id: MachineId) -> Reply:
        return await self._v2(Operation.START, "POST", f"{_instance(machine_id)}/start", {})

    async def stop(self, machine_id: MachineId) -> Reply:
        return await self._v2(Operation.STOP, "POST", f"{_instance(machine_id)}/stop", {})

    async def stop_and_free(self, machine_id: MachineId) -> Reply:
        form = {"server": machine_id, "disassociate_resources": "true"}
        return await self._v0(Operation.STOP_AND_FREE, "client/stop/single", form)

    async def balance(self) -> Reply:
        return await self._v0(Operation.READ_BALANCE, "billing/balance", {})

    async def test_credentials(self) -> Reply:
        return await self._v0(Operation.TEST_CREDENTIALS, "auth/test", {})

    async def _v2(
        self,
        operation: Operation,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        departing: Callable[[], None] = _ignore_departure,
    ) -> Reply:
        request = self._version_2(operation, method, path, body)
        await self._rate_limiter.wait_for_turn(operation)
        departing()
        return await self._send(operation, request)

    def _version_2(self, operation: Operation, method: str, path: str, body: Mapping[str, object] | None) -> Request:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        return Request(method, f"{self._base}/v2/{path}", headers, content, self._limit_s(operation))

    async def _v0(self, operation: Operation, path: str, form: Mapping[str, str]) -> Reply:
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        content = urlencode({"api_key": self._key, "api_token": self._token, **form}).encode()
        request = Request("POST", f"{self._base}/v0/{path}", headers, content, self._limit_s(operation))
        await self._rate_limiter.wait_for_turn(operation)
        return await self._send(operation, request)

    async def _send(self, operation: Operation, request: Request) -> Reply:
        reply = await self._http.send(request)
        if reply.status == 429:
            self.back_off(operation, reply)
        else:
            self._rate_limiter.record_success(operation)
        if is_used_up(reply.headers):
            self._rate_limiter.back_off_all(reset_s(reply.headers) or 0.0)
        return reply

    def _limit_s(self, operation: Operation) -> float:
        if operation in _DISPENSABLE:
            return min(_DISPENSABLE_TIMEOUT_S, self._timeout_s)
        return self._slow_timeout_s if operation in _SLOW else self._timeout_s


def base_url(url: str) -> str:
    """Return the address that both API versions share, from `http://host` with or without `/api`, `/v2` or `/v0`."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    for version in ("/v2", "/v0"):
        path = path.removesuffix(version).rstrip("/")
    if not path.endswith("/api"):
        path += "/api"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _instance(machine_id: MachineId) -> str:
    return f"instances/{quote(machine_id, safe='')}"
