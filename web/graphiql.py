"""GraphiQL, the API explorer, served from our own assets: the page contacts no other host.

The page is built in `web/graphiql/` (`make graphiql`) and committed compressed, so that serving it needs no Node.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from web.built_files import BuiltFiles

FOLDER: Final = Path(__file__).with_name("graphiql")
DIST: Final = FOLDER / "dist"
ASSETS_PATH: Final = "/graphiql"
EXAMPLES: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("consoles", {}),
    ("placements", {}),
    ("launch", {}),
    ("progress", {"launchId": ""}),
)
# The code editor needs inline styles. Scripts come only from our own files.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SIGN_IN: Final = "sign-in.js"
_FILES: Final = BuiltFiles(DIST)


def wants_page(request: Request) -> bool:
    """Return whether a browser opens the address, as opposed to a client that sends a query."""
    if request.method not in ("GET", "HEAD") or not request.query_params.keys().isdisjoint({"query", "extensions"}):
        return False
    return "text/html" in request.headers.get("accept", "")


def page(request: Request) -> Response:
    """Return the page. It is served at the GraphQL endpoint and sends requests to the address it was loaded from."""
    # Addresses are relative: a proxy may serve the API below a path of its own.
    body, etag = _page(".." if request.scope.get("raw_path", b"").endswith(b"/") else ".")
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache", "ETag": etag, "Vary": "Accept"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="text/html", headers=headers)


def sign_in() -> Response:
    """Return the sign-in page, for deployments that serve GraphiQL to operators only."""
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-store", "WWW-Authenticate": "Bearer", "Vary": "Accept"}
    return Response(_SIGN_IN_PAGE, 401, headers, "text/html")


def routes() -> list[BaseRoute]:
    """Return routes for the pages' assets. GraphiQL's file names contain a hash, so browsers may cache them."""
    return [
        Route(f"{ASSETS_PATH}/{SIGN_IN}", sign_in_script, methods=["GET"]),
        Route(f"{ASSETS_PATH}/{{name}}", asset, methods=["GET"]),
    ]


async def sign_in_script(_: Request) -> Response:
    """Return the script of the sign-in page."""
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
    return Response((FOLDER / SIGN_IN).read_bytes(), headers=headers, media_type="text/javascript")


async def asset(request: Request) -> Response:
    """Return one of GraphiQL's assets, compressed if the client accepts gzip. Raise 404 for unknown names."""
    return _FILES.response(request, SECURITY_HEADERS)


_SIGN_IN_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gamer Provisioner</title>
<link rel="icon" href="data:,">
</head>
<body>
<form id="sign-in">
<p>This page is for operators.</p>
<p><label>Token or API key <input id="credential" type="password" autocomplete="off"></label>
<button>Sign in</button></p>
<p id="refused" role="alert"></p>
</form>
<script type="module" src=".{ASSETS_PATH}/{SIGN_IN}"></script>
</body>
</html>
"""


@cache
def _page(root: str) -> tuple[bytes, str]:
    built = _FILES.manifest
    styles = "\n".join(f'<link rel="stylesheet" href="{root}{ASSETS_PATH}/{name}">' for name in built["styles"])
    body = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gamer Provisioner</title>
<link rel="icon" href="data:,">
{styles}
</head>
<body>
<div id="graphiql"></div>
<script type="application/json" id="examples">{_examples()}</script>
<script type="module" src="{root}{ASSETS_PATH}/{built["script"]}"></script>
</body>
</html>
""".encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _examples() -> str:
    tabs = [
        {
            "query": (FOLDER / "examples" / f"{name}.graphql").read_text(),
            "variables": json.dumps(variables, indent=2) if variables else None,
        }
        for name, variables in EXAMPLES
    ]
    # `<` in an example could end the script element that contains it.
    return json.dumps(tabs).replace("<", "\\u003c")
