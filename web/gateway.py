"""What HTTP and WebSocket share: the door, and the desk behind it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from auth.authenticator import Authenticator, credentials_of
from auth.callers import Caller
from auth.rate import RequestRate, SocketsPerCaller
from resolvers.context import Context, Services
from schema.execution import GraphQLExecution
from web.trail import request_id_of


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What one client may ask of a process. Sizes in bytes, times in seconds."""

    max_body_bytes: int = 256 * 1024
    body_timeout_s: float = 10.0
    connection_init_timeout_s: float = 10.0
    send_timeout_s: float = 20.0
    max_operations_per_socket: int = 50
    max_messages_per_minute: int = 600
    max_subscription_s: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """`cors_origins`: web origins whose pages may call; `*` lets all."""

    services: Services
    execution: GraphQLExecution
    authenticator: Authenticator
    cors_origins: Sequence[str] = ()
    limits: WebLimits = field(default_factory=WebLimits)
    rate: RequestRate | None = None
    sockets: SocketsPerCaller | None = None

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
        return await self.authenticator.authenticate(credentials_of(scope["headers"], payload))

    def context(self, caller: Caller, scope: Scope) -> Context:
        return Context(caller, self.services, request_id_of(scope))

    def may_open_socket(self, scope: Scope) -> bool:
        """Browsers let any page open a socket to any host, so its origin is looked at here. Programs send none."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or "*" in self.cors_origins or origin in self.cors_origins:
            return True
        return urlsplit(origin).netloc == headers.get("host")
