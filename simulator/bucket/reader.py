"""Google Cloud Storage as rclone reads it: its JSON interface over HTTP."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
from yarl import URL

DEFAULT_ENDPOINT = "https://storage.googleapis.com/storage/v1/"
DIRECTORY_NOT_FOUND, FILE_NOT_FOUND, RETRY = 3, 4, 5


class RcloneError(Exception):
    """What rclone prints, and the exit code that goes with it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Entry:
    """An object, by its path below the prefix. `link` is where its content is."""

    path: str
    size: int
    mtime: float
    link: str


class BucketReader:
    """The objects below a prefix of a bucket. A simulated machine reaches loopback and nothing else."""

    def __init__(self, options: Mapping[str, str], name: str, prefix: str) -> None:
        self._endpoint = options.get("endpoint") or DEFAULT_ENDPOINT
        self._name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    async def entries(self) -> list[Entry]:
        """Return all objects. Raises RcloneError when the bucket is missing or does not answer."""
        items: list[dict[str, Any]] = []
        query = {"prefix": self._prefix, "maxResults": "1000"}
        while True:
            page = json.loads(await self._get(f"b/{quote(self._name, safe='')}/o?{urlencode(query)}"))
            items += page.get("items", ())
            if not page.get("nextPageToken"):
                break
            query["pageToken"] = page["nextPageToken"]
        found = [_entry(item, self._prefix) for item in items]
        return [entry for entry in found if entry.path and not entry.path.endswith("/")]

    async def beginning(self, entry: Entry, limit: int) -> bytes:
        """Return up to `limit` bytes of an object."""
        return await self._get(entry.link, {"Range": f"bytes=0-{limit - 1}"} if entry.size else {})

    async def _get(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        url = urljoin(self._endpoint, path)
        if not _is_loopback(urlsplit(url).hostname or ""):
            raise RcloneError(f"dial tcp: lookup {urlsplit(url).hostname}: no such host", RETRY)
        try:
            async with (
                aiohttp.ClientSession() as session,
                # As it is written: aiohttp would turn `%2F` in an object's name into a slash.
                session.get(URL(url, encoded=True), headers=headers) as answer,
            ):
                body = await answer.read()
        except aiohttp.ClientError as error:
            raise RcloneError(f"GET {path}: {error}", RETRY) from error
        if answer.status >= 400:
            raise _refusal(answer.status, body)
        return body


def _entry(item: Mapping[str, Any], prefix: str) -> Entry:
    stamp = item.get("metadata", {}).get("mtime") or item["updated"]
    path = str(item["name"]).removeprefix(prefix)
    return Entry(path, int(item["size"]), datetime.fromisoformat(stamp).timestamp(), str(item["mediaLink"]))


def _refusal(status: int, body: bytes) -> RcloneError:
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = body[:100].decode(errors="replace")
    if status == 404:
        is_bucket = "bucket" in message
        what = "directory" if is_bucket else "object"
        return RcloneError(f"{what} not found", DIRECTORY_NOT_FOUND if is_bucket else FILE_NOT_FOUND)
    return RcloneError(f"googleapi: Error {status}: {message}", RETRY if status >= 500 or status == 429 else 1)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
