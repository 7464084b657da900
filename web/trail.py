"""What every request leaves behind: an id that the caller may choose, and one log line without what was sent."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from correlation import working_on
from web.answers import json_answer

log = logging.getLogger("web")

HEADER: Final = "X-Request-ID"
_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,127}", re.ASCII)


class Trail:
    """Outermost of all. An error that nobody foresaw is answered with the request's id, which the log carries.
    `counted` is told the status of every HTTP answer."""

    def __init__(self, app: ASGIApp, counted: Callable[[int], None] | None = None) -> None:
        self._app = app
        self._counted = counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        with working_on(request=request_id):
            await self._followed(scope, receive, send, request_id)

    async def _followed(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        begun, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            elif message["type"] == "websocket.accept":
                status = 101
                MutableHeaders(scope=message)[HEADER] = request_id
            elif message["type"] == "websocket.close":
                status = message.get("code", 1000)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            log.exception("a request failed unforeseen")
            if status or scope["type"] == "websocket":
                raise
            message = f"Something went wrong on our side. Its id is {request_id}."
            await json_answer({"message": message}, 500)(scope, receive, answer)
        finally:
            fields = {
                "method": scope.get("method", "SOCKET"),
                "path": scope["path"],
                "status": status,
                "ms": round((time.perf_counter() - begun) * 1000, 1),
            }
            log.info("answered", extra=fields)
            if self._counted is not None and status and scope["type"] == "http":
                self._counted(status)


def request_id_of(scope: Scope) -> str:
    return str(scope["state"]["request_id"])


def _request_id(scope: Scope) -> str:
    sent = Headers(scope=scope).getlist(HEADER)
    if len(sent) == 1 and _WELL_FORMED.fullmatch(sent[0]):
        return sent[0]
    return secrets.token_hex(16)
