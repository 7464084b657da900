"""Responses that clients may keep for a while, and ask about by their ETag."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from schema.execution.shared_answers import SharedAnswer

# A cache between us and the caller keeps one response for each set of credentials: it cannot check them.
_VARY: Final = "Accept, Accept-Encoding, Authorization, X-API-Key"
_NOT_MODIFIED: Final = 304


def cache_headers(shared: SharedAnswer, etag: str) -> dict[str, str]:
    """Return the headers that let a client keep the answer; none for one that must not be kept."""
    if shared.max_age_s == 0:
        return {}
    return {"Cache-Control": f"public, max-age={shared.max_age_s}", "ETag": etag, "Vary": _VARY}


def shared_response(
    request: Request, shared: SharedAnswer, body: bytes, etag: str, media_type: str, headers: dict[str, str]
) -> Response:
    """Return the answer, or 304 to a GET that names its ETag."""
    headers = {**headers, **cache_headers(shared, etag)}
    if request.method in ("GET", "HEAD") and "ETag" in headers and _names(request, etag):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    return Response(body, 200, headers, f"{media_type}; charset=utf-8")


def _names(request: Request, etag: str) -> bool:
    named = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    return "*" in named or etag in named or etag.removeprefix("W/") in named
