"""The distribution API of a registry mirror, as far as digests need it: manifests, and tokens to read them.

`ns` names the registry of the image, as containerd's mirrors expect it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from aiohttp import web

from simulator.registry.catalog import DEFAULT_HOST, ImageCatalog, ImageName

MANIFEST_TYPE = "application/vnd.oci.image.index.v1+json"
TOKEN_LASTS_S = 300
TOKENS = "/registry-token"
WAIT_S = 30


class RegistryApi:
    """Every registry in one place. While `limited` is set it answers 429, as Docker Hub does to frequent callers."""

    def __init__(self, images: ImageCatalog) -> None:
        self._images = images
        self._tokens: dict[str, str] = {}
        self.limited = False

    def add_routes(self, router: web.UrlDispatcher, control: str) -> None:
        router.add_get("/v2/", self._version)
        router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        router.add_get(TOKENS, self._token)
        router.add_post(f"{control}/registry", self._order)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def _manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], request.match_info["reference"]
        if self.limited:
            return _error(429, "TOOMANYREQUESTS", "too many requests", {"Retry-After": str(WAIT_S)})
        if not self._may_read(request, name):
            scope = f'scope="repository:{name}:pull"'
            challenge = f'Bearer realm="{request.url.origin()}{TOKENS}",service="{request.host}",{scope}'
            return _error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        registry = request.query.get("ns", DEFAULT_HOST)
        digest = self._images.digest(ImageName(f"{registry}/{name}", reference))
        if digest is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "manifests": []}).encode()
        return web.Response(body=body, headers={"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": digest})

    async def _token(self, request: web.Request) -> web.Response:
        """Grant a token to read, to every caller."""
        token = secrets.token_urlsafe(16)
        self._tokens[_hashed(token)] = request.query.get("scope", "")
        return web.json_response({"token": token, "expires_in": TOKEN_LASTS_S})

    async def _order(self, request: web.Request) -> web.Response:
        """Change the images: `{"move": IMAGE}`, `{"missing": IMAGE, "on": true}` or `{"limited": true}`."""
        order: dict[str, Any] = json.loads(await request.read())
        if "move" in order:
            self._images.move(ImageName.read(str(order["move"])))
        if "missing" in order:
            name = str(ImageName.read(str(order["missing"])))
            self._images.set_missing(name, missing=order.get("on", True) is True)
        if "limited" in order:
            self.limited = order["limited"] is True
        return web.json_response({})

    def _may_read(self, request: web.Request, name: str) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.get(_hashed(token)) == f"repository:{name}:pull"


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    content = {"errors": [{"code": code, "message": message}]}
    return web.json_response(content, status=status, headers=headers)
