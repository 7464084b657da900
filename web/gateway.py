"""What HTTP and WebSocket share: the door, and the desk behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from auth.authenticator import Authenticator, credentials_of
from auth.callers import Caller
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
    max_operations_per_socket: int = 100


@dataclass(frozen=True, slots=True)
class Gateway:
    """`cors_origins`: web origins whose pages may call; `*` lets all."""

    services: Services
    execution: GraphQLExecution
    authenticator: Authenticator
    cors_origins: Sequence[str] = ()
    limits: WebLimits = field(default_factory=WebLimits)

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
