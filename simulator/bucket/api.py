"""Google Cloud Storage's JSON interface, and downloads by signed URL, which are of its XML interface."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from simulator.bucket.listing import listed
from simulator.bucket.objects import (
    BadNameError,
    NoSuchBucketError,
    NoSuchObjectError,
    PreconditionFailedError,
    Preconditions,
    StoredObject,
)
from simulator.bucket.signed_urls import Account, Refusal, SignedRequest, refusal_of
from simulator.bucket.store import ObjectStore
from simulator.bucket.uploads import BadUploadError, Session, add_piece, parsed_resource, split_related

OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
COPY = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/(copyTo|rewriteTo)/b/([^/]+)/o/([^/]+)")
OBJECTS = re.compile(r"/storage/v1/b/([^/]+)/o")
UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
PERMISSIONS = re.compile(r"/storage/v1/b/([^/]+)/iam/testPermissions")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
CHUNK = 1024 * 1024

Handler = Callable[[web.Request, tuple[str, ...]], Awaitable[web.StreamResponse]]


class BucketApi:
    def __init__(self, store: ObjectStore, account: Account | None = None) -> None:
        """`account` may sign URLs; without one no URL opens anything."""
        self._store = store
        self._account = account
        self._sessions: dict[str, Session] = {}
        self._routes: tuple[tuple[str, re.Pattern[str], Handler], ...] = (
            ("GET", OBJECTS, self._list),
            ("GET", OBJECT, self._get),
            ("POST", UPLOAD, self._upload),
            ("PUT", UPLOAD, self._upload),
            ("DELETE", UPLOAD, self._cancel_upload),
            ("POST", COPY, self._copy),
            ("PATCH", OBJECT, self._update),
            ("PUT", OBJECT, self._update),
            ("DELETE", OBJECT, self._delete),
            ("GET", BUCKET, self._bucket),
            ("GET", PERMISSIONS, self._test_permissions),
            ("GET", re.compile("/storage/v1/b"), self._buckets),
            ("POST", re.compile("/storage/v1/b"), self._create_bucket),
        )

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for start in ("/storage/v1", "/upload/storage/v1", "/download/storage/v1"):
            router.add_route("*", start + "/{path:.*}", self.answer)
        router.add_get("/{bucket:[a-z0-9][a-z0-9._-]+}/{name:.+}", self._download)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Handle a request. Its path is read as it was sent: a slash in an object's name arrives as `%2F`."""
        try:
            for method, pattern, handler in self._routes:
                found = pattern.fullmatch(request.rel_url.raw_path)
                if found and method == request.method:
                    return await handler(request, tuple(unquote(part) for part in found.groups()))
        except NoSuchBucketError:
            return _error(404, "The specified bucket does not exist.", "notFound")
        except NoSuchObjectError as error:
            return _error(404, f"No such object: {error}", "notFound")
        except PreconditionFailedError:
            return _error(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")
        except (BadNameError, BadUploadError, ValueError) as error:
            return _error(400, str(error), "invalid")
        return _error(404, "Not Found", "notFound")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Send an object to whoever has a URL that an account signed."""
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        if bucket not in self._store.buckets():
            return web.Response(status=404)
        headers = {key.lower(): value for key, value in request.headers.items()}
        asked = SignedRequest(request.method, request.rel_url.raw_path, dict(request.query), headers)
        refusal = refusal_of(asked, self._account, lambda: datetime.now(UTC))
        if refusal is not None:
            return _xml(refusal)
        try:
            found = self._store.get(bucket, name, _generation(request.query))
        except (NoSuchObjectError, BadNameError, ValueError):
            return _xml(Refusal(404, "NoSuchKey", "The specified key does not exist."))
        return await self._send(request, found, disposition=request.query.get("response-content-disposition"))

    async def _list(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        return web.json_response(listed(self._store, names[0], request.query, _base(request)))

    async def _test_permissions(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        """Grant every permission that is asked about: the simulated project has one account, its owner."""
        if names[0] not in self._store.buckets():
            raise NoSuchBucketError
        asked = request.query.getall("permissions", [])
        return web.json_response({"kind": "storage#testIamPermissionsResponse", "permissions": asked})

    async def _get(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        query = request.query
        found = self._store.get(names[0], names[1], _generation(query))
        preconditions = Preconditions.of(query)
        if preconditions.not_generation == found.generation:
            return web.Response(status=304)
        preconditions.check(found)
        if query.get("alt") == "media":
            return await self._send(request, found)
        return web.json_response(found.described(_base(request)))

    async def _send(
        self, request: web.Request, found: StoredObject, disposition: str | None = None
    ) -> web.StreamResponse:
        start, end = _span(request.headers.get("Range"), found.size)
        if start >= end and found.size and "Range" in request.headers:
            return _error(416, "The requested range cannot be satisfied.", "requestedRangeNotSatisfiable")
        partial = (start, end) != (0, found.size)
        response = web.StreamResponse(status=206 if partial else 200, headers=_content_headers(found))
        response.content_length = end - start
        if disposition is not None:
            response.headers["Content-Disposition"] = disposition
        if partial:
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
        with self._store.content_path(found).open("rb") as file:
            await response.prepare(request)
            file.seek(start)
            while start < end:
                chunk = file.read(min(CHUNK, end - start))
                await response.write(chunk)
                start += len(chunk)
        await response.write_eof()
        return response

    async def _upload(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        body = await request.content.read()
        query, kind = request.query, request.query.get("uploadType", "media")
        self._store.list(names[0], "\0")
        if upload_id := query.get("upload_id"):
            return self._take_piece(request, upload_id, body)
        if kind == "resumable":
            return self._open_session(request, names[0], parsed_resource(body))
        resource: dict[str, Any] = {}
        content_type = request.headers.get("Content-Type", "application/octet-stream")
        if kind == "multipart":
            resource, content_type, body = split_related(content_type, body)
        return self._write(request, names[0], {"contentType": content_type, **resource}, body)

    def _write(self, request: web.Request, bucket: str, resource: dict[str, Any], body: bytes) -> web.Response:
        name = request.query.get("name") or str(resource.get("name") or "")
        preconditions = Preconditions.of(request.query)
        stored = self._store.write(bucket, name, body, preconditions=preconditions, resource=resource)
        return web.json_response(stored.described(_base(request)))

    def _open_session(self, request: web.Request, bucket: str, resource: dict[str, Any]) -> web.Response:
        name = request.query.get("name") or str(resource.get("name") or "")
        if "X-Upload-Content-Type" in request.headers:
            resource.setdefault("contentType", request.headers["X-Upload-Content-Type"])
        session = Session(bucket, name, resource, Preconditions.of(request.query))
        self._sessions[session.id] = session
        where = f"{_base(request)}{request.rel_url.raw_path}?uploadType=resumable&upload_id={session.id}"
        return web.Response(headers={"Location": where, "X-GUploader-UploadID": session.id})

    def _take_piece(self, request: web.Request, upload_id: str, body: bytes) -> web.Response:
        session = self._sessions.get(upload_id)
        if not session:
            return _error(404, "No such upload.", "notFound")
        if not add_piece(session, request.headers.get("Content-Range"), body):
            return _go_on(request, len(session.content))
        del self._sessions[upload_id]
        stored = self._store.write(
            session.bucket,
            session.name,
            bytes(session.content),
            preconditions=session.preconditions,
            resource=session.resource,
        )
        return web.json_response(stored.described(_base(request)))

    async def _cancel_upload(self, request: web.Request, _: tuple[str, ...]) -> web.StreamResponse:
        self._sessions.pop(request.query.get("upload_id", ""), None)
        return web.Response(status=499)

    async def _copy(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        bucket, name, verb, to_bucket, to_name = names
        source = self._store.get(bucket, name, _generation(request.query, "sourceGeneration"))
        Preconditions.of(request.query, "ifSource").check(source)
        resource = parsed_resource(await request.content.read())
        given = {"contentType": source.content_type, "metadata": source.metadata, **source.fields, **resource}
        stored = self._store.write(
            to_bucket,
            to_name,
            self._store.content_path(source).read_bytes(),
            preconditions=Preconditions.of(request.query),
            resource=given,
        )
        described = stored.described(_base(request))
        if verb == "copyTo":
            return web.json_response(described)
        size = str(stored.size)
        answer = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        return web.json_response({**answer, "resource": described})

    async def _update(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        found = self._store.get(names[0], names[1])
        Preconditions.of(request.query).check(found)
        resource = parsed_resource(await request.content.read())
        stored = self._store.update(found, resource, merge=request.method == "PATCH")
        return web.json_response(stored.described(_base(request)))

    async def _delete(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        self._store.delete(names[0], names[1], Preconditions.of(request.query), _generation(request.query))
        return web.Response(status=204)

    async def _bucket(self, request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
        self._store.list(names[0], "\0")
        return web.json_response(_bucket_resource(names[0], request))

    async def _buckets(self, request: web.Request, _: tuple[str, ...]) -> web.StreamResponse:
        items = [_bucket_resource(name, request) for name in self._store.buckets()]
        return web.json_response({"kind": "storage#buckets", "items": items})

    async def _create_bucket(self, request: web.Request, _: tuple[str, ...]) -> web.StreamResponse:
        name = str(parsed_resource(await request.content.read()).get("name", ""))
        self._store.create_bucket(name)
        return web.json_response(_bucket_resource(name, request))


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _generation(query: Mapping[str, str], name: str = "generation") -> int | None:
    return int(query[name]) if name in query else None


def _span(header: str | None, size: int) -> tuple[int, int]:
    """Return the requested bytes, from the first to behind the last. An unreadable header requests all."""
    found = RANGE.fullmatch(header or "")
    if not found or found[0] == "bytes=-":
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])), size
    return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size


def _content_headers(found: StoredObject) -> dict[str, str]:
    return {
        "Content-Type": found.content_type,
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.generation}"',
        "X-Goog-Generation": str(found.generation),
        "X-Goog-Metageneration": str(found.metageneration),
        "X-Goog-Hash": f"crc32c={found.crc32c},md5={found.md5}",
        "X-Goog-Stored-Content-Length": str(found.size),
    }


def _go_on(request: web.Request, arrived: int) -> web.Response:
    """Answer 308 as the client understands it: Google's clients for Go cannot have it as a status."""
    headers = {"Range": f"bytes=0-{arrived - 1}"} if arrived else {}
    if request.headers.get("X-GUploader-No-308") == "yes":
        return web.Response(headers={**headers, "X-Http-Status-Code-Override": "308"})
    return web.Response(status=308, headers=headers)


def _bucket_resource(name: str, request: web.Request) -> dict[str, Any]:
    link = f"{_base(request)}/storage/v1/b/{name}"
    return {
        **{"kind": "storage#bucket", "id": name, "name": name, "selfLink": link, "location": "US"},
        **{"storageClass": "STANDARD", "versioning": {"enabled": True}, "metageneration": "1"},
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
    }


def _xml(refusal: Refusal) -> web.Response:
    return web.Response(status=refusal.status, text=refusal.document(), content_type="application/xml")


def _error(status: int, message: str, reason: str) -> web.Response:
    fault = {"message": message, "domain": "global", "reason": reason}
    body = json.dumps({"error": {"code": status, "message": message, "errors": [fault]}})
    return web.Response(status=status, text=body, content_type="application/json")
