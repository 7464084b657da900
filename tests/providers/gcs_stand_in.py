"""A bucket on loopback with Google's JSON API as far as the service uses it, and faults to order."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import orjson
from aiohttp import web

_REWRITE = re.compile(r"/([^/]+)/rewriteTo/b/[^/]+/o/([^/]+)")


@dataclass
class BucketServer:
    """`objects` maps names to (generation, content). `faults` are answered instead of the truth, one a request."""

    url: str = ""
    path: str = ""
    objects: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    faults: deque[web.Response] = field(default_factory=deque)
    encodings: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    lose_next_write_answer: bool = False
    page_size: int = 1000
    last_generation: int = 1000

    def put(self, name: str, content: bytes) -> int:
        self.last_generation += 1
        self.objects[name] = (self.last_generation, content)
        self.metadata.pop(name, None)
        return self.last_generation

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.faults:
            return self.faults.popleft()
        name = request.match_info.get("name")
        if request.path.startswith("/upload/"):
            return await self._write(request)
        if name is None:
            return self._list(request)
        if request.method == "POST":
            return await self._rewrite(request)
        return self._object(request, name)

    def _object(self, request: web.Request, name: str) -> web.StreamResponse:
        if name not in self.objects:
            return error(404, "notFound", "No such object")
        if request.method == "DELETE":
            if request.query.get("ifGenerationMatch", str(self.objects[name][0])) != str(self.objects[name][0]):
                return error(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            del self.objects[name]
            return web.Response(status=204)
        if request.query.get("alt") == "media":
            headers = {"Content-Encoding": self.encodings[name]} if name in self.encodings else {}
            if "Range" in request.headers:
                end = int(request.headers["Range"].rpartition("-")[2])
                content = self.objects[name][1][: end + 1]
                return web.Response(body=content, status=206) if content else error(416, "range", "no such range")
            return web.Response(body=self.objects[name][1], content_type="application/octet-stream", headers=headers)
        return web.json_response(self._about(name))

    async def _write(self, request: web.Request) -> web.StreamResponse:
        name = request.query["name"]
        current = self.objects.get(name, (0, b""))[0]
        if request.query.get("ifGenerationMatch", str(current)) != str(current):
            return error(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        content = await request.read()
        words: dict[str, Any] = {}
        if request.query["uploadType"] == "multipart":
            words, content = _parts(request.headers["Content-Type"], content)
        self.put(name, content)
        self.metadata[name] = words.get("metadata", {})
        if self.lose_next_write_answer:
            self.lose_next_write_answer = False
            return error(503, "backendError", "try again")
        return web.json_response(self._about(name))

    async def _rewrite(self, request: web.Request) -> web.StreamResponse:
        found = _REWRITE.fullmatch(request.rel_url.raw_path.removeprefix(self.path))
        assert found is not None
        source, target = unquote(found[1]), unquote(found[2])
        generation, content = self.objects.get(source, (0, b""))
        if str(generation) != request.query["sourceGeneration"]:
            return error(404, "notFound", "No such object")
        if str(self.objects.get(target, (0, b""))[0]) != request.query["ifGenerationMatch"]:
            return error(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        body = await request.read()
        words = orjson.loads(body)["metadata"] if body else self.metadata.get(source, {})
        self.put(target, content)
        self.metadata[target] = words
        return web.json_response({"done": True, "resource": self._about(target)})

    def _list(self, request: web.Request) -> web.StreamResponse:
        prefix = request.query.get("prefix", "")
        names = sorted(name for name in self.objects if name.startswith(prefix))
        start = int(request.query.get("pageToken", "0"))
        items = [self._about(name) for name in names[start : start + self.page_size]]
        rest = start + self.page_size < len(names)
        return web.json_response({"items": items} | ({"nextPageToken": str(start + self.page_size)} if rest else {}))

    def _about(self, name: str) -> dict[str, Any]:
        generation, content = self.objects[name]
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        return {
            "kind": "storage#object",
            "name": name,
            "size": str(len(content)),
            "generation": str(generation),
            "md5Hash": md5,
            **({"metadata": self.metadata[name]} if self.metadata.get(name) else {}),
            **({"contentEncoding": self.encodings[name]} if name in self.encodings else {}),
            "mediaLink": f"{self.url}{self.path}/{quote(name, safe='')}?generation={generation}&alt=media",
            "updated": "2026-11-21T12:00:00.000Z",
            "timeCreated": "2026-11-21T12:00:00.000Z",
        }


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the description and the content of a multipart upload."""
    boundary = content_type.partition("boundary=")[2].encode()
    described, content = body.split(b"--" + boundary)[1:3]
    return orjson.loads(described.partition(b"\r\n\r\n")[2]), content.partition(b"\r\n\r\n")[2][:-2]


def error(status: int, reason: str, message: str) -> web.Response:
    body = {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}
    return web.json_response(body, status=status)


@asynccontextmanager
async def bucket_server(bucket: str) -> AsyncIterator[BucketServer]:
    server = BucketServer(path=f"/storage/v1/b/{bucket}/o")
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", server.path, server.handle)
    app.router.add_route("*", f"{server.path}/{{name:.+}}", server.handle)
    app.router.add_route("POST", f"/upload/storage/v1/b/{bucket}/o", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
