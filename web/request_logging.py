"""Gives every request an id, which the caller may choose, and writes the access log."""

from __future__ import annotations

import re
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from correlation import working_on
from tracing.spans import set_caller
from tracing.traceparent import parse_traceparent
from web.access_log import REQUEST_ID, AccessLog, new_request_id

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,127}", re.ASCII)
_FORBIDDEN: Final = 403
_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_TRACEPARENT: Final = b"traceparent"


class RequestLoggingMiddleware:
    """Runs around every other middleware except the one that adds security headers, so that refusals are logged."""

    def __init__(self, app: ASGIApp, access_log: AccessLog | None = None) -> None:
        self._app = app
        self._access_log = access_log or AccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        chosen, parents = _read_headers(scope)
        state = scope.setdefault("state", {})
        # The protocol has already set an id if it refused the request's body.
        request_id = state.setdefault("request_id", chosen or new_request_id())
        # The task ends with the request, so nothing has to be reset.
        set_caller(parse_traceparent(parents[0]) if len(parents) == 1 else None)
        with working_on(request=request_id):
            await self._log_request(scope, receive, send, request_id)

    async def _log_request(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        begun, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            elif message["type"] == "websocket.accept":
                status = 101
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            elif message["type"] == "websocket.close":
                # A socket that is closed before it is accepted is answered with 403.
                status = message.get("code", 1000) if status else _FORBIDDEN
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._access_log.write(scope.get("method", "SOCKET"), scope["path"], status, begun)


def request_id_of(scope: Scope) -> str:
    """Return the id of a request that has passed the middleware."""
    return str(scope["state"]["request_id"])


def _read_headers(scope: Scope) -> tuple[str | None, list[str]]:
    """Return the request id that the caller chose, if it is well-formed, and all values of `traceparent`."""
    ids: list[str] = []
    parents: list[str] = []
    for name, value in scope["headers"]:
        if name == _TRACEPARENT:
            parents.append(value.decode("latin-1"))
        elif name == _REQUEST_ID:
            ids.append(value.decode("latin-1"))
    return ids[0] if len(ids) == 1 and _WELL_FORMED.fullmatch(ids[0]) else None, parents
