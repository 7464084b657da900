"""Google Cloud Storage as rclone reaches it: its JSON interface over HTTP."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
from yarl import URL

DEFAULT_ENDPOINT = "https://storage.googleapis.com/storage/v1/"
DIRECTORY_NOT_FOUND, FILE_NOT_FOUND, RETRY = 3, 4, 5
PART = "rclone-part"


class RcloneError(Exception):
    """What rclone would say, and the exit code that goes with it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at either end, by its path below that end."""

    path: str
    size: int
    mtime: float
    md5: str  # in base64, as Google tells it


class Storage:
    """Objects over HTTP. A simulated machine reaches loopback and nothing else."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._endpoint = options.get("endpoint") or DEFAULT_ENDPOINT
        token = json.loads(options["token"]).get("access_token", "") if options.get("token") else ""
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def list(self, bucket: str, prefix: str) -> dict[str, dict[str, Any]]:
        """Every object below the prefix, by its full name. A bucket that is missing is an error, a prefix is not."""
        found: dict[str, dict[str, Any]] = {}
        query = {"prefix": prefix, "maxResults": "1000"}
        while True:
            page = await self._json("GET", f"b/{_quoted(bucket)}/o", params=query)
            found |= {item["name"]: item for item in page.get("items", ())}
            if not page.get("nextPageToken"):
                return found
            query["pageToken"] = page["nextPageToken"]

    async def get(self, bucket: str, name: str) -> dict[str, Any] | None:
        try:
            found = await self._json("GET", f"b/{_quoted(bucket)}/o/{_quoted(name)}")
        except RcloneError as error:
            if error.status in (FILE_NOT_FOUND, DIRECTORY_NOT_FOUND):
                return None
            raise
        return dict(found)

    async def download(self, item: Mapping[str, Any], limit: int | None = None) -> bytes:
        headers = {"Range": f"bytes=0-{limit - 1}"} if limit and int(item["size"]) else {}
        return await self._request("GET", str(item["mediaLink"]), headers=headers)

    async def upload(self, bucket: str, name: str, content: bytes, mtime: float) -> None:
        stamp = datetime.fromtimestamp(mtime, UTC).isoformat().replace("+00:00", "Z")
        described = json.dumps({"name": name, "contentType": "application/octet-stream", "metadata": {"mtime": stamp}})
        body = (
            f"--{PART}\r\nContent-Type: application/json\r\n\r\n{described}\r\n"
            f"--{PART}\r\nContent-Type: application/octet-stream\r\n\r\n"
        ).encode()
        await self._request(
            "POST",
            f"/upload/storage/v1/b/{_quoted(bucket)}/o?uploadType=multipart&name={_quoted(name)}",
            data=body + content + f"\r\n--{PART}--\r\n".encode(),
            headers={"Content-Type": f"multipart/related; boundary={PART}"},
        )

    async def copy(self, bucket: str, name: str, to_bucket: str, to_name: str) -> None:
        path = f"b/{_quoted(bucket)}/o/{_quoted(name)}/rewriteTo/b/{_quoted(to_bucket)}/o/{_quoted(to_name)}"
        await self._json("POST", path)

    async def delete(self, bucket: str, name: str) -> None:
        await self._request("DELETE", f"b/{_quoted(bucket)}/o/{_quoted(name)}")

    async def _json(self, method: str, path: str, params: Mapping[str, str] | None = None) -> Any:
        return json.loads(await self._request(method, path, params=params))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        url = urljoin(self._endpoint, path)
        if not _is_loopback(urlsplit(url).hostname or ""):
            raise RcloneError(f"dial tcp: lookup {urlsplit(url).hostname}: no such host", RETRY)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers) as session,
                session.request(method, _url(url, params), data=data, headers=headers) as answer,
            ):
                body = await answer.read()
        except aiohttp.ClientError as error:
            raise RcloneError(f"{method} {path}: {error}", RETRY) from error
        if answer.status >= 400:
            raise _refusal(answer.status, body)
        return body


def modified_at(item: Mapping[str, Any]) -> float:
    stamp = item.get("metadata", {}).get("mtime") or item["updated"]
    return datetime.fromisoformat(stamp).timestamp()


def _refusal(status: int, body: bytes) -> RcloneError:
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = body[:100].decode(errors="replace")
    if status == 404:
        missing_bucket = "bucket" in message
        return RcloneError(
            "directory not found" if missing_bucket else "object not found",
            DIRECTORY_NOT_FOUND if missing_bucket else FILE_NOT_FOUND,
        )
    return RcloneError(f"googleapi: Error {status}: {message}", RETRY if status >= 500 or status == 429 else 1)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _url(text: str, params: Mapping[str, str] | None) -> URL:
    """As it stands: aiohttp would otherwise turn `%2F` in an object's name into a slash."""
    query = f"?{urlencode(params)}" if params else ""
    return URL(text + query, encoded=True)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
