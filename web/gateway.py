"""What HTTP and WebSocket share: the door, and the desk behind it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from auth.authenticator import DEVELOPER, Authenticator, credentials_of
from auth.callers import Caller
from auth.rate_limits import RequestRate, SocketsPerCaller
from errors import UnauthenticatedError
from resolvers.context import Context, Services
from schema.execution.errors import FormattedError
from schema.execution.executor import GraphQLExecution
from web.header_limits import HeadLimits
from web.origins import is_same_origin, normal_origin
from web.proxies import TrustedProxies
from web.request_logging import request_id_of

_EVENT_ID: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What one client may ask of a process. Sizes in bytes, times in seconds."""

    heads: HeadLimits = field(default_factory=HeadLimits)
    max_body_bytes: int = 128 * 1024
    body_timeout_s: float = 10.0
    max_batch_size: int = 1  # 1: no arrays of requests
    connection_init_timeout_s: float = 10.0
    send_timeout_s: float = 20.0
    max_operations_per_socket: int = 50
    max_messages_per_minute: int = 600
    max_subscription_s: float = 6 * 3600.0
    recheck_s: float = 30.0  # between two looks at whether the credentials of an open stream are still good
    beat_s: float = 15.0  # between two signs of life on a silent stream of events


@dataclass(frozen=True, slots=True)
class Gateway:
    """`cors_origins`: web origins whose pages may call; `*` lets all. `proxies` may say who the client is."""

    services: Services
    execution: GraphQLExecution
    authenticator: Authenticator
    cors_origins: Sequence[str] = ()
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    limits: WebLimits = field(default_factory=WebLimits)
    rate: RequestRate | None = None
    sockets: SocketsPerCaller | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # set when the process begins to stop

    async def admit(self, caller: Caller) -> None:
        """Count one operation of a caller. Raises LimitReachedError."""
        if self.rate is not None:
            await self.rate.admit(caller.id)

    async def admit_stranger(self, scope: Scope) -> None:
        """Count one attempt of somebody whose credentials were no good, by its address. Raises LimitReachedError."""
        if self.rate is not None:
            host, _ = scope.get("client") or ("unknown", 0)
            await self.rate.admit(f"address:{host}")

    def socket_of(self, caller: Caller) -> AbstractContextManager[None]:
        """For as long as the socket is open. Raises LimitReachedError before the body runs."""
        return nullcontext() if self.sockets is None else self.sockets.held(caller.id)

    async def caller(self, scope: Scope, payload: object = None) -> Caller:
        """By the headers, or the payload that opened a socket. Raises UnauthenticatedError, UnavailableError."""
        caller = await self.authenticator.authenticate(credentials_of(scope["headers"], payload))
        # A page elsewhere may let its own name point to this machine, and is then our neighbour to the browser.
        if caller is DEVELOPER and not _is_local_name(Headers(scope=scope).get("host", "")):
            raise UnauthenticatedError("without credentials only http://localhost is served")
        return caller

    async def visitor(self, scope: Scope) -> Caller:
        """Who makes one HTTP request. Raises as `caller`, and LimitReachedError for a stranger that goes on trying."""
        try:
            return await self.caller(scope)
        except UnauthenticatedError:
            await self.admit_stranger(scope)
            raise

    def context(self, caller: Caller, scope: Scope) -> Context:
        context = Context(caller, self.services, request_id_of(scope))
        last_event_id = Headers(scope=scope).get("last-event-id", "")
        if _EVENT_ID.fullmatch(last_event_id):
            context.resumes_after = int(last_event_id)
        return context

    def is_of_listed_origin(self, scope: Scope) -> bool:
        """Browsers let any page open a socket to any host, or send it an empty POST, so its origin is looked at here.
        Programs send none."""
        origin = Headers(scope=scope).get("origin")
        return origin is None or self._is_listed(origin) or is_same_origin(origin, scope)

    def may_ask(self, scope: Scope) -> bool:
        """Whether no browser says that a page of a site that is not listed made this request."""
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        return self._is_listed(headers.get("origin", ""))

    def _is_listed(self, origin: str) -> bool:
        listed = map(normal_origin, self.cors_origins)
        return "*" in self.cors_origins or normal_origin(origin) in listed


def lasted_too_long(limit_s: float) -> FormattedError:
    message = f"an operation may last at most {limit_s / 60:g} minutes: subscribe again"
    extensions = {"code": "LIMIT_REACHED", "limit": "subscriptionSeconds", "allowed": limit_s}
    return {"message": message, "extensions": extensions}


def _is_local_name(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
