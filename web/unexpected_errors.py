"""Turns unhandled errors into responses in the endpoint's error format, with the request id."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from errors import GatewayError, LimitReachedError
from schema.execution.errors import INTERNAL, code_of, fault_of
from web.error_responses import headers_of, status_of
from web.request_logging import request_id_of
from web.responses import json_answer

log = logging.getLogger("web")

_TRY_AGAIN_LATER: Final = 1013  # clients of graphql-transport-ws reconnect after it, but not after 1011
_REASON: Final = "internal error, connect again"


class UnexpectedErrors:
    """Runs inside CORS, so that the calling page can read the response.

    An open WebSocket is closed with a code after which clients reconnect.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = ended = False

        async def send_and_track(message: Message) -> None:
            nonlocal begun, ended
            begun = True
            ended = ended or message["type"] in ("websocket.close", "websocket.http.response.start")
            await send(message)

        try:
            await self._app(scope, receive, send_and_track)
        except WebSocketDisconnect:
            return
        except Exception as error:
            if not isinstance(error, GatewayError):
                log.exception("unexpected error")
            if scope["type"] == "websocket" and begun and not ended:
                await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": _REASON})
            elif not begun:
                await _answer(scope, error)(scope, receive, send)
            # A response that has begun can only be cut off; the client sees that it is incomplete.


def _answer(scope: Scope, error: Exception) -> Response:
    fault = _fault(error, request_id_of(scope))
    code = fault["extensions"]["code"]
    wait_s = error.retry_after_s if isinstance(error, LimitReachedError) else None
    content: dict[str, Any] = (
        fault if scope["path"] == "/graphql" else {"message": fault["message"], **fault["extensions"]}
    )
    return json_answer({"errors": [content]}, status_of(code), headers=headers_of(status_of(code), wait_s))


def _fault(error: Exception, request_id: str) -> dict[str, Any]:
    if isinstance(error, GatewayError) and code_of(error) != INTERNAL:
        return fault_of(error)
    message = f"Something went wrong on our side. Its id is {request_id}."
    return {"message": message, "extensions": {"code": INTERNAL, "id": request_id}}
