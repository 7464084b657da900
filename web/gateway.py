"""What the HTTP and WebSocket endpoints share: authentication, rate limits, origin checks and request contexts."""

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

from auth.authenticator import DEVELOPER, Authenticator, parse_credentials
from auth.callers import Caller
from auth.rate_limits import RequestRate, SocketsPerCaller
from errors import UnauthenticatedError
from resolvers.context import Context, Services
from schema.execution.errors import FormattedError
from schema.execution.executor import GraphQLExecution
from web.header_limits import HeadLimits
from web.origins import is_loopback_origin, is_same_origin, normal_origin
from web.proxies import TrustedProxies
from web.request_logging import request_id_of

_EVENT_ID: Final = re.compile(r"[0-9]{1,13}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits for one client at one process. Sizes in bytes, times in seconds."""

    heads: HeadLimits = field(default_factory=HeadLimits)
    max_body_bytes: int = 128 * 1024
    body_timeout_s: float = 10.0
    max_batch_size: int = 1  # 1: arrays of requests are refused
    draft_statuses: bool = False  # those of the newest draft of GraphQL over HTTP
    connection_init_timeout_s: float = 10.0
    send_timeout_s: float = 20.0
    max_operations_per_socket: int = 120
    max_messages_per_minute: int = 1800
    max_subscription_s: float = 6 * 3600.0
    recheck_s: float = 30.0  # between two checks of an open stream's credentials
    beat_s: float = 15.0  # between two heartbeats on an event stream without events


@dataclass(frozen=True, slots=True)
class Gateway:
    """What HTTP and WebSocket requests are answered with.

    `cors_origins`: web origins of pages that may call; `*` allows all. `allows_loopback_origins` adds the pages of this
    machine, for development. `proxies` may name the client.
    """

    services: Services
    execution: GraphQLExecution
    authenticator: Authenticator
    cors_origins: Sequence[str] = ()
    allows_loopback_origins: bool = False
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    limits: WebLimits = field(default_factory=WebLimits)
    rate: RequestRate | None = None
    sockets: SocketsPerCaller | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # set when the process begins to shut down

    async def admit(self, caller: Caller) -> None:
        """Count one operation of a caller. Raise LimitReachedError when there are too many."""
        if self.rate is not None:
            await self.rate.admit(caller.id)

    async def count_failed_authentication(self, scope: Scope) -> None:
        """Count a failed authentication by the client's address. Raise LimitReachedError when there are too many."""
        if self.rate is not None:
            host, _ = scope.get("client") or ("unknown", 0)
            await self.rate.admit(f"address:{host}")

    def hold_socket(self, caller: Caller) -> AbstractContextManager[None]:
        """Count an open socket of a caller while the context is entered. Raise LimitReachedError on entry."""
        return nullcontext() if self.sockets is None else self.sockets.hold(caller.id)

    async def authenticate(self, scope: Scope, payload: object = None) -> Caller:
        """Return the caller, by the headers or by the payload of `connection_init`.

        Raise UnauthenticatedError or UnavailableError.
        """
        caller = await self.authenticator.authenticate(parse_credentials(scope["headers"], payload))
        # A hostile page may point its own host name at this machine (DNS rebinding); the browser then sees one origin.
        if caller is DEVELOPER and not _is_local_name(Headers(scope=scope).get("host", "")):
            raise UnauthenticatedError("credentials are required, except at http://localhost")
        return caller

    async def authenticate_request(self, scope: Scope) -> Caller:
        """Return the caller of an HTTP request, and count a failure against its address.

        Raise as `authenticate` does, and LimitReachedError after too many failures.
        """
        try:
            return await self.authenticate(scope)
        except UnauthenticatedError:
            await self.count_failed_authentication(scope)
            raise

    def new_context(self, caller: Caller, scope: Scope) -> Context:
        """Return the context of one operation."""
        context = Context(caller, self.services, request_id_of(scope))
        last_event_id = Headers(scope=scope).get("last-event-id", "")
        if _EVENT_ID.fullmatch(last_event_id):
            context.resumes_after = int(last_event_id)
        return context

    def is_from_listed_origin(self, scope: Scope) -> bool:
        """Return whether the Origin header is absent, listed or our own.

        Browsers let any page open a socket to any host, or send it an empty POST. Programs send no origin.
        """
        origin = Headers(scope=scope).get("origin")
        return origin is None or self._is_listed(origin) or is_same_origin(origin, scope)

    def is_from_listed_site(self, scope: Scope) -> bool:
        """Return False if the browser reports that a page of an unlisted site made this request."""
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        return self._is_listed(headers.get("origin", ""))

    def _is_listed(self, origin: str) -> bool:
        listed = map(normal_origin, self.cors_origins)
        if self.allows_loopback_origins and is_loopback_origin(origin):
            return True
        return "*" in self.cors_origins or normal_origin(origin) in listed


def time_limit_error(limit_s: float) -> FormattedError:
    """Return the error with which an operation ends that has lasted for `limit_s`."""
    minutes = limit_s / 60
    message = f"an operation may last at most {minutes:g} minute{'' if minutes == 1 else 's'}: subscribe again"
    extensions = {"code": "LIMIT_REACHED", "limit": "subscriptionSeconds", "allowed": limit_s}
    return {"message": message, "extensions": extensions}


def _is_local_name(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
