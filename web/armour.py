"""Headers by which browsers protect whoever is served: on every answer, whoever made it."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.answers import json_answer
from web.heads import HeadLimits

# Answers are data: nothing in them may run, load, or be shown within another page. GraphiQL brings its own policy.
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TWO_YEARS: Final = "max-age=63072000; includeSubDomains"


class Armour:
    """Outermost of all. What an answer says itself stands. `tls_only`: browsers shall never come without TLS again."""

    def __init__(self, app: ASGIApp, *, tls_only: bool, heads: HeadLimits) -> None:
        self._app = app
        self._heads = heads
        self._headers = {**_HEADERS, **({"Strict-Transport-Security": _TWO_YEARS} if tls_only else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def armoured(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, armoured)

    def _refused(self, scope: Scope) -> Response | None:
        if _has_two_lengths(scope):
            return _ambiguous()
        return self._heads.broken_by(scope)


def _has_two_lengths(scope: Scope) -> bool:
    """A proxy may believe the one and we the other: then what one takes for a body is a request to the other."""
    names = {name for name, _ in scope["headers"]}
    return {b"content-length", b"transfer-encoding"} <= names


def _ambiguous() -> Response:
    told = {"message": "a request has either a length or pieces"}
    return json_answer(told, 400, headers={"Connection": "close"})
