"""A bucket of named objects. Each write changes an object's generation, which prevents unnoticed overwrites."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import zlib
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.http import Http, Reply, Request
from providers.redaction import clean_line
from providers.storage.tokens import Tokens, send_authorised

GOOGLE_URL: Final = "https://storage.googleapis.com"
ABSENT: Final = 0  # as a precondition: the object must not exist
_OF_NO_OBJECT: Final = 1  # Google's generations count microseconds, so no object has this one
_FIELDS: Final = "name,size,generation,md5Hash,contentEncoding,timeCreated,metadata"
_PAGE: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_THERE: Final = 404
_NO_SUCH_RANGE: Final = 416
_GZIP: Final = "gzip"
_GZIP_BEGINS: Final = b"\x1f\x8b"
_ERROR_BYTES: Final = 64 * 1024


class GenerationConflictError(ProviderError):
    """The object has another generation, because another writer was faster. Nothing was written or removed."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    name: str
    size_bytes: int
    generation: int
    md5: str | None = None  # base64, as in Google's API
    encoding: str | None = None
    created_at: datetime = _EPOCH  # when this generation was written
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)  # our own metadata


class Bucket:
    """Client of a bucket.

    Every call may raise a ProviderError: ProviderBusyError to be repeated, ProviderRefusedError for an operator.
    """

    def __init__(
        self, http: Http, name: str, tokens: Tokens, *, endpoint_url: str = GOOGLE_URL, transfer_timeout_s: float = 300
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._endpoint_url = endpoint_url.rstrip("/")
        self._transfer_timeout_s = transfer_timeout_s
        self.name = name

    async def list(self, prefix: str) -> tuple[StoredObject, ...]:
        """Return all objects with this prefix in their names, sorted by name."""
        found: list[StoredObject] = []
        page = ""
        while True:
            query = {"prefix": prefix, "maxResults": str(_PAGE), "fields": f"items({_FIELDS}),nextPageToken"}
            reply = await self._send("GET", self._objects_path(), query | ({"pageToken": page} if page else {}))
            document = _document(reply)
            found += _items(document)
            last, page = page, str(document.get("nextPageToken") or "")
            if not page:
                return tuple(found)
            if page == last:
                raise ProviderBusyError("the list of objects repeats itself").with_log_detail(f"bucket {self.name}")

    async def stat(self, name: str) -> StoredObject | None:
        """Return an object's metadata, or None if it does not exist. A missing bucket is an error."""
        reply = await self._send("GET", self._objects_path(name), {"fields": _FIELDS}, expected=(_NOT_THERE,))
        return None if reply.status == _NOT_THERE else _parse_object(_document(reply))

    async def read(self, name: str, limit_bytes: int) -> tuple[StoredObject, bytes] | None:
        """Return an object and its verified content, both of one generation; None if it does not exist."""
        about = await self.stat(name)
        if about is None:
            return None
        if about.size_bytes > limit_bytes:
            raise ProviderRefusedError(f"{name} has {about.size_bytes} bytes, more than the allowed {limit_bytes}")
        reply = await self._send(
            "GET",
            self._objects_path(name),
            {"alt": "media", "generation": str(about.generation)},
            timeout_s=self._transfer_timeout_s,
            body_limit_bytes=max(about.size_bytes if about.encoding is None else limit_bytes, _ERROR_BYTES),
            expected=(_NOT_THERE,),
        )
        if reply.status == _NOT_THERE:
            raise ProviderBusyError(f"{name} was replaced while it was read")
        if about.encoding == _GZIP:
            return about, _unzip(name, reply.body, limit_bytes)
        if len(reply.body) != about.size_bytes or about.md5 not in (None, _md5(reply.body)):
            raise ProviderBusyError(f"{name} did not arrive completely")
        return about, reply.body

    async def read_start(self, about: StoredObject, limit_bytes: int) -> bytes:
        """Return the first bytes of this generation as stored, at most `limit_bytes`, unverified.

        Raises GenerationConflictError if this generation no longer exists.
        """
        reply = await self._send(
            "GET",
            self._objects_path(about.name),
            {"alt": "media", "generation": str(about.generation)},
            headers={"Range": f"bytes=0-{limit_bytes - 1}"},
            body_limit_bytes=max(about.size_bytes, _ERROR_BYTES),
            expected=(_NOT_THERE, _NO_SUCH_RANGE),
        )
        if reply.status == _NO_SUCH_RANGE:  # the object is empty
            return b""
        if reply.status == _NOT_THERE:
            raise GenerationConflictError(f"{about.name} was replaced while it was read")
        return reply.body[:limit_bytes]

    async def write(
        self,
        name: str,
        content: bytes,
        *,
        content_type: str,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Write an object completely and verify what was stored.

        With `if_generation`, only that generation is overwritten (ABSENT: none); otherwise GenerationConflictError is
        raised.
        """
        query = {"uploadType": "media", "name": name, "fields": _FIELDS}
        if if_generation is not None:
            query["ifGenerationMatch"] = str(if_generation)
        body = content
        if metadata:
            query["uploadType"] = "multipart"
            body, content_type = _related({"contentType": content_type, "metadata": dict(metadata)}, content)
        reply = await self._send(
            "POST",
            f"/upload{self._objects_path()}",
            query,
            content=body,
            headers={"Content-Type": content_type},
            timeout_s=self._transfer_timeout_s,
        )
        stored = _parse_object(_document(reply))
        if stored.size_bytes != len(content) or stored.md5 not in (None, _md5(content)):
            raise ProviderBusyError(f"{name} was not stored completely")
        return stored

    async def copy(
        self,
        source: StoredObject,
        name: str,
        *,
        if_generation: int = ABSENT,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Copy this generation inside the bucket, over `if_generation`, and return the copy.

        With `metadata`, that and `content_type` replace the source's own. Raises GenerationConflictError if the source
        no longer exists or the target is not as expected.
        """
        path = f"{self._objects_path(source.name)}/rewriteTo{self._objects_path(name).removeprefix('/storage/v1')}"
        given = {"sourceGeneration": str(source.generation), "ifGenerationMatch": str(if_generation)}
        words = b"" if metadata is None else orjson.dumps({"contentType": content_type, "metadata": dict(metadata)})
        token = ""
        while True:
            reply = await self._send(
                "POST",
                path,
                given | ({"rewriteToken": token} if token else {}),
                content=words,
                headers={"Content-Type": "application/json"} if words else None,
                timeout_s=self._transfer_timeout_s,
                expected=(_NOT_THERE,),
            )
            if reply.status == _NOT_THERE:
                raise GenerationConflictError(f"{source.name} no longer exists")
            document = _document(reply)
            if document.get("done"):
                return _parse_object(document.get("resource"))
            last, token = token, str(document.get("rewriteToken") or "")
            if not token or token == last:
                raise ProviderBusyError("a copy makes no progress").with_log_detail(f"bucket {self.name}")

    async def remove(self, name: str, *, if_generation: int | None = None) -> bool:
        """Remove an object, or only this generation of it. Returns False if there was none.

        Raises GenerationConflictError if it has another generation.
        """
        query = {} if if_generation is None else {"ifGenerationMatch": str(if_generation)}
        reply = await self._send("DELETE", self._objects_path(name), query, expected=(_NOT_THERE,))
        return reply.status != _NOT_THERE

    async def missing_permissions(self, permissions: Sequence[str]) -> tuple[str, ...]:
        """Return which of these permissions on the bucket our credentials lack. Changes nothing.

        Source: Cloud Storage JSON API, Buckets: testIamPermissions.
        """
        query = urlencode([("permissions", permission) for permission in permissions])
        path = f"/storage/v1/b/{quote(self.name, safe='')}/iam/testPermissions"
        document = _document(await self._send("GET", f"{path}?{query}", {}))
        granted = document.get("permissions") or []
        return tuple(permission for permission in permissions if permission not in granted)

    async def may_change(self, prefix: str) -> bool:
        """Return whether our credentials may create and delete objects below a prefix. Changes nothing.

        A role that is limited to a prefix is missing from the bucket's own permissions, so a write and a removal are
        sent that a precondition prevents.
        """
        name = f"{prefix}.permission-check"
        try:
            await self._refuse(self.write(name, b"", content_type="text/plain", if_generation=_OF_NO_OBJECT))
            await self._refuse(self.remove(name, if_generation=_OF_NO_OBJECT))
        except ProviderRefusedError:
            return False
        return True

    @staticmethod
    async def _refuse(change: Awaitable[object]) -> None:
        with contextlib.suppress(GenerationConflictError):
            await change

    def _objects_path(self, name: str | None = None) -> str:
        path = f"/storage/v1/b/{quote(self.name, safe='')}/o"
        return path if name is None else f"{path}/{quote(name, safe='')}"

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        body_limit_bytes: int | None = None,
        expected: tuple[int, ...] = (),
    ) -> Reply:
        url = f"{self._endpoint_url}{path}{'&' if '?' in path else '?'}{urlencode(query)}"
        request = Request(method, url, headers or {}, content, timeout_s, body_limit_bytes=body_limit_bytes)
        reply = await send_authorised(self._http, self._tokens, request)
        if reply.status >= 300 and (reply.status not in expected or _lacks_bucket(reply)):
            raise _failure(self.name, reply)
        return reply


def _related(resource: Mapping[str, Any], content: bytes) -> tuple[bytes, str]:
    """Return body and content type of an upload with metadata."""
    boundary = f"part-{secrets.token_hex(16)}"
    head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode() + orjson.dumps(resource)
    between = f"\r\n--{boundary}\r\nContent-Type: {resource['contentType']}\r\n\r\n".encode()
    return head + between + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/related; boundary={boundary}"


def _unzip(name: str, body: bytes, limit_bytes: int) -> bytes:
    """Return the content of an object that is stored zipped.

    The bucket or the HTTP client usually unzips it and checks gzip's checksum; otherwise it is unzipped here.
    """
    if not body.startswith(_GZIP_BEGINS):
        return body
    unzip = zlib.decompressobj(wbits=31)
    try:
        content = unzip.decompress(body, limit_bytes + 1)
    except zlib.error:
        raise ProviderBusyError(f"{name} did not arrive completely") from None
    if len(content) > limit_bytes:
        raise ProviderRefusedError(f"{name} has more than the allowed {limit_bytes} bytes")
    return content


def _document(reply: Reply) -> dict[str, Any]:
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise ProviderBusyError("the bucket responded in an unknown format")
    return document


def _items(document: Mapping[str, Any]) -> list[StoredObject]:
    items = document.get("items") or []
    if not isinstance(items, list):
        raise ProviderBusyError("the bucket listed its objects in an unknown format")
    return [_parse_object(item) for item in items]


def _parse_object(item: Any) -> StoredObject:
    try:
        md5 = item.get("md5Hash")
        encoding = item.get("contentEncoding")
        size_bytes, generation = int(item["size"]), int(item["generation"])
        created_at = datetime.fromisoformat(str(item["timeCreated"]))
        metadata = {str(key): str(value) for key, value in (item.get("metadata") or {}).items()}
        return StoredObject(
            str(item["name"]),
            size_bytes,
            generation,
            md5 and str(md5),
            encoding and str(encoding),
            created_at,
            metadata,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ProviderBusyError("the bucket described an object in an unknown format") from None


def _failure(bucket: str, reply: Reply) -> ProviderError:
    reason, message = _reason(reply)
    said, detail = f"the storage responded with {reply.status}", f"bucket {bucket}: {message}"
    if reply.status == 412:
        return GenerationConflictError(said).with_log_detail(detail)
    if reply.status in (400, 401, 404) or (reply.status == 403 and "rate" not in reason.lower()):
        return ProviderRefusedError(said).with_log_detail(detail)
    return ProviderBusyError(said).with_log_detail(detail)


def _lacks_bucket(reply: Reply) -> bool:
    """Return whether a 404 is about the bucket ("The specified bucket does not exist."), not the object."""
    return reply.status == _NOT_THERE and "bucket does not exist" in _reason(reply)[1]


def _reason(reply: Reply) -> tuple[str, str]:
    """Return Google's reason and message; both are empty if the body is something else."""
    try:
        error = orjson.loads(reply.body)["error"]
        return str(error.get("errors", [{}])[0].get("reason", "")), clean_line(str(error.get("message", "")), 120)
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
