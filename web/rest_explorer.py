"""The description of the REST paths, and a page to try them, from our own assets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from web.graphiql import SECURITY_HEADERS
from web.openapi import openapi

_FOLDER: Final = Path(__file__).with_name("rest_explorer")
_MEDIA_TYPES: Final = {"explorer.js": "text/javascript", "explorer.css": "text/css"}
_HEADERS: Final = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}


def routes(version: str, *, page: bool) -> list[BaseRoute]:
    """Return the routes of `/openapi.json` and, with `page`, of `/openapi` and its assets."""
    described = Route("/openapi.json", _describe(version), methods=["GET"])
    if not page:
        return [described]
    return [
        described,
        Route("/openapi", _page, methods=["GET"]),
        Route("/rest-explorer/{name}", _asset, methods=["GET"]),
    ]


def _describe(version: str) -> Callable[[Request], Awaitable[Response]]:
    async def describe(_: Request) -> Response:
        return Response(orjson.dumps(openapi(version)), media_type="application/json", headers=_HEADERS)

    return describe


async def _page(_: Request) -> Response:
    return Response((_FOLDER / "index.html").read_bytes(), media_type="text/html", headers=_HEADERS)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _MEDIA_TYPES:
        raise HTTPException(404)
    return Response((_FOLDER / name).read_bytes(), media_type=_MEDIA_TYPES[name], headers=_HEADERS)
