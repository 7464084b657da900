"""Gives every request an id, which the caller may choose, and writes the access log."""

from __future__ import annotations

import re
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from correlation import working_on
from web.access_log import REQUEST_ID, AccessLog, new_request_id

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,127}", re.ASCII)
_FORBIDDEN: Final = 403


class RequestLoggingMiddleware:
    """Runs around every other middleware except the one that adds security headers, so that refusals are logged."""

    def __init__(self, app: ASGIApp, access_log: AccessLog | None = None) -> None:
        self._app = app
        self._access_log = access_log or AccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        # The protocol has already set an id if it refused the request's body.
        request_id = state.setdefault("request_id", _chosen_id(scope) or new_request_id())
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


def _chosen_id(scope: Scope) -> str | None:
    sent = Headers(scope=scope).getlist(REQUEST_ID)
    return sent[0] if len(sent) == 1 and _WELL_FORMED.fullmatch(sent[0]) else None
