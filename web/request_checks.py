"""Refuses requests with a head that is too large or ambiguous, before any other code reads them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from web.header_limits import HeadLimits
from web.responses import json_answer


class RequestChecks:
    """Runs outside the CORS middleware, which answers preflights itself.

    `cors` wraps an application, so that the page that sent a refused request can read the reason.
    """

    def __init__(self, app: ASGIApp, heads: HeadLimits, cors: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> None:
        self._app = app
        self._heads = heads
        self._readable_refusal = cors(self._refuse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._refusal(scope) is None:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await self._refuse(scope, receive, send)
        else:
            await self._readable_refusal(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        assert refusal is not None
        await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        return _two_lengths() if _has_two_lengths(scope) else self._heads.broken_by(scope)


def _has_two_lengths(scope: Scope) -> bool:
    """Return whether the length is ambiguous: a proxy may see the body end elsewhere (request smuggling)."""
    names = {name for name, _ in scope["headers"]}
    return {b"content-length", b"transfer-encoding"} <= names


def _two_lengths() -> Response:
    message = "a request must not have both Content-Length and Transfer-Encoding"
    error = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    return json_answer({"errors": [error]}, 400, headers={"Connection": "close"})
