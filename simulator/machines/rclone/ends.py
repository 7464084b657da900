"""The two kinds of places that rclone copies between."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import stat
from collections.abc import Iterator
from typing import Protocol

from simulator.machines.files import Files
from simulator.machines.rclone.remote import (
    DIRECTORY_NOT_FOUND,
    FILE_NOT_FOUND,
    Entry,
    RcloneError,
    Storage,
    modified_at,
)


class End(Protocol):
    async def entries(self) -> dict[str, Entry]:
        """What is there, by path. RcloneError when the place itself is missing and that matters."""
        ...

    async def entries_or_none(self) -> dict[str, Entry]:
        """The same for a target, which need not be there yet."""
        ...

    async def read(self, path: str) -> bytes: ...

    async def write(self, path: str, content: bytes, mtime: float) -> None: ...

    async def delete(self, path: str) -> None: ...


class LocalEnd:
    """A folder of the machine, or one file as if it were alone in its folder."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._only = posixpath.basename(path) if files.is_file(path) else None
        self._path = posixpath.dirname(path) if self._only else path

    @property
    def is_file(self) -> bool:
        return self._only is not None

    async def entries(self) -> dict[str, Entry]:
        if not self._files.exists(self._path):
            raise RcloneError("directory not found", DIRECTORY_NOT_FOUND)
        paths = [self._only] if self._only else list(self._walk(""))
        return {path: self._entry(path) for path in paths}

    async def entries_or_none(self) -> dict[str, Entry]:
        return await self.entries() if self._files.exists(self._path) else {}

    async def read(self, path: str) -> bytes:
        return self._files.read(posixpath.join(self._path, path))

    async def write(self, path: str, content: bytes, mtime: float) -> None:
        target = posixpath.join(self._path, path)
        self._files.mkdir(posixpath.dirname(target), parents=True)
        self._files.write(target, content)
        self._files.set_times(target, mtime)

    async def delete(self, path: str) -> None:
        self._files.remove(posixpath.join(self._path, path))

    def _walk(self, below: str) -> Iterator[str]:
        for name in self._files.listdir(posixpath.join(self._path, below)):
            path = posixpath.join(below, name)
            mode = self._files.stat(posixpath.join(self._path, path), follow=False).st_mode
            if stat.S_ISDIR(mode):
                yield from self._walk(path)
            elif stat.S_ISREG(mode):
                yield path

    def _entry(self, path: str) -> Entry:
        found = self._files.stat(posixpath.join(self._path, path))
        content = self._files.read(posixpath.join(self._path, path))
        return Entry(path, found.st_size, found.st_mtime, base64.b64encode(hashlib.md5(content).digest()).decode())


class RemoteEnd:
    """A prefix of a bucket, or one object as if it were alone in it."""

    def __init__(self, storage: Storage, bucket: str, prefix: str) -> None:
        self._storage = storage
        self.bucket = bucket
        self.prefix = prefix.strip("/")

    async def entries(self) -> dict[str, Entry]:
        items = await self._storage.list(self.bucket, f"{self.prefix}/" if self.prefix else "")
        found = {}
        if not items and self.prefix and (alone := await self._storage.get(self.bucket, self.prefix)):
            items = {self.prefix: alone}
            self.prefix = posixpath.dirname(self.prefix)
        for name, item in items.items():
            path = name.removeprefix(f"{self.prefix}/") if self.prefix else name
            if path and not path.endswith("/"):
                found[path] = Entry(path, int(item["size"]), modified_at(item), item.get("md5Hash", ""))
        return found

    async def entries_or_none(self) -> dict[str, Entry]:
        return await self.entries()

    async def read(self, path: str) -> bytes:
        return await self.beginning(path, None)

    async def beginning(self, path: str, limit: int | None) -> bytes:
        item = await self._storage.get(self.bucket, self.name(path))
        if item is None:
            raise RcloneError("object not found", FILE_NOT_FOUND)
        return await self._storage.download(item, limit)

    async def write(self, path: str, content: bytes, mtime: float) -> None:
        await self._storage.upload(self.bucket, self.name(path), content, mtime)

    async def delete(self, path: str) -> None:
        await self._storage.delete(self.bucket, self.name(path))

    async def move_to(self, path: str, other: RemoteEnd) -> None:
        await self._storage.copy(self.bucket, self.name(path), other.bucket, other.name(path))
        await self.delete(path)

    def name(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path
