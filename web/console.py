"""The console, a page on which players launch games and operators see machines, costs and problems.

The page is built in `web/console/` (`make console`) and committed compressed, so that serving it needs no Node. It runs
only documents of graphql/operations/, whose hashes are written into it. It contacts no other host, except for round
trips to the endpoints of `RTT_PROBE_URLS` and for downloads of saves, which the bucket serves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from schema.execution.trusted_documents import FOLDER as OPERATIONS
from schema.execution.trusted_documents import sha256_of
from web.built_files import BuiltFiles

PATH: Final = "/console"
FOLDER: Final = Path(__file__).with_name("console")
DIST: Final = FOLDER / "dist"
HEADERS: Final = {
    "Permissions-Policy": "camera=(), geolocation=(self), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES: Final = BuiltFiles(DIST)


def routes(connect: Iterable[str] = ()) -> list[BaseRoute]:
    """Return the routes of the page and its files. The page may also send requests to the origins of `connect`."""
    headers = {**HEADERS, "Content-Security-Policy": content_security_policy(connect)}
    return [
        Route(PATH, partial(page, headers), methods=["GET"]),
        Route(f"{PATH}/{{name}}", partial(file, headers), methods=["GET"]),
    ]


def content_security_policy(connect: Iterable[str] = ()) -> str:
    """Return the page's policy: nothing but itself, and requests to the origins of these addresses."""
    origins = sorted({f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, connect)})
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            " ".join(("connect-src 'self'", *origins)),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def wants_page(request: Request) -> bool:
    """Return whether a browser opens the address, as opposed to a client of the API."""
    return "text/html" in request.headers.get("accept", "")


def redirect() -> Response:
    """Return a redirect from `/` to the page. It is relative: a proxy may serve the API below a path of its own."""
    return RedirectResponse(PATH.removeprefix("/"), 302, {"Vary": "Accept"})


async def page(page_headers: Mapping[str, str], request: Request) -> Response:
    """Return the page."""
    body, etag = _page(".." if request.scope.get("raw_path", b"").endswith(b"/") else ".")
    headers = {**page_headers, "Cache-Control": "no-cache", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="text/html", headers=headers)


async def file(page_headers: Mapping[str, str], request: Request) -> Response:
    """Return one of the page's files. Raise 404 for unknown names."""
    return _FILES.response(request, dict(page_headers))


@cache
def _page(root: str) -> tuple[bytes, str]:
    built = _FILES.manifest
    styles = "\n".join(f'<link rel="stylesheet" href="{root}{PATH}/{name}">' for name in built["styles"])
    preload = "\n".join(f'<link rel="modulepreload" href="{root}{PATH}/{name}">' for name in built["preload"])
    body = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Gamer Provisioner</title>
<link rel="icon" href="data:,">
{styles}
{preload}
</head>
<body>
<div id="console" data-endpoint="{root}/graphql"></div>
<noscript>This page needs JavaScript.</noscript>
<script type="application/json" id="operations">{json.dumps(_hashes())}</script>
<script type="module" src="{root}{PATH}/{built["script"]}"></script>
</body>
</html>
""".encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _hashes() -> dict[str, str]:
    """Return the hashes of the trusted documents by name."""
    return {file.stem: sha256_of(file.read_text(encoding="utf-8")) for file in sorted(OPERATIONS.glob("*.graphql"))}
