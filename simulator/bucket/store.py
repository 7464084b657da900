"""The folder behind the buckets.

`<folder>/<bucket>/<name>` is an object's content under its own name, so that one can read saves and add games.
Beside it, `.objects` keeps the other facts of an object, and `.versions` what was overwritten or deleted.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from simulator.bucket.checksums import crc32c, md5
from simulator.bucket.objects import (
    BadNameError,
    NoSuchBucketError,
    NoSuchObjectError,
    Preconditions,
    StoredObject,
)

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
NAME_LIMIT_BYTES = 1024
EMPTY_PART = "%"  # how the part after a last slash is written as a file's name


class ObjectStore:
    """Single-threaded: a check and the write that follows it are one step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last_generation = 0

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket. May be repeated."""
        if not BUCKET_NAME.fullmatch(bucket):
            raise BadNameError(f"Invalid bucket name: '{bucket}'")
        (self._folder / bucket).mkdir(parents=True, exist_ok=True)

    def buckets(self) -> list[str]:
        there = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(path.name for path in there if BUCKET_NAME.fullmatch(path.name))

    def list(self, bucket: str, prefix: str, *, versions: bool = False) -> list[StoredObject]:
        """Return objects by name, and by generation where old ones are requested too."""
        names = [name for name in self._names(bucket) if name.startswith(prefix)]
        found = [self.get(bucket, name) for name in names]
        if versions:
            found += [one for one in self._old_versions(bucket) if one.name.startswith(prefix)]
        return sorted(found, key=lambda one: (one.name.encode(), one.generation))

    def get(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """Return the live object, or the requested generation. Raises NoSuchObjectError."""
        live = self.find(bucket, name)
        if live and generation in (None, live.generation):
            return live
        for old in self._old_versions(bucket) if generation is not None else ():
            if (old.name, old.generation) == (name, generation):
                return old
        raise NoSuchObjectError(name)

    def find(self, bucket: str, name: str) -> StoredObject | None:
        """Return the live object. A file that was put into the folder or changed there counts as just written."""
        path = self._path(bucket, name)
        if not path.is_file():
            return None
        known = self._known(bucket, name)
        status = path.stat()
        if known and known["file"] == [status.st_size, status.st_mtime_ns]:
            return StoredObject(**known["object"])
        return self._take_in(bucket, name, path)

    def content_path(self, stored: StoredObject) -> Path:
        """Return the path of this generation's content."""
        if stored.deleted_at is None:
            return self._path(stored.bucket, stored.name)
        return self._version_path(stored)

    def write(
        self,
        bucket: str,
        name: str,
        content: bytes,
        *,
        preconditions: Preconditions = Preconditions(),  # noqa: B008 - frozen
        resource: Mapping[str, Any] | None = None,
    ) -> StoredObject:
        """Write a new generation, whole or not at all. The earlier one is kept as an old version."""
        path = self._path(bucket, name)
        before = self.find(bucket, name)
        preconditions.check(before)
        if path.is_dir() or any(above.is_file() for above in path.parents):
            raise BadNameError("an object and a folder cannot share a name here")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._folder / ".drafts" / f"{os.getpid()}-{self._next_generation()}"
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        if before:
            self._put_aside(before)
        draft.replace(path)
        return self._remember(_new_object(bucket, name, content, self._next_generation(), resource or {}))

    def update(self, stored: StoredObject, resource: Mapping[str, Any], *, merge: bool) -> StoredObject:
        """Change the metadata of an object; its generation stays. `merge`: a key that is null is removed."""
        changed = _with_resource(stored, resource, merge=merge)
        return self._remember(replace(changed, metageneration=stored.metageneration + 1, updated_at=time.time()))

    def delete(self, bucket: str, name: str, preconditions: Preconditions, generation: int | None = None) -> None:
        """Make the live object an old version. With its generation, live or old, an object is removed for good."""
        found = self.get(bucket, name, generation)
        preconditions.check(found)
        if found.deleted_at is None:
            if generation is None:
                self._put_aside(found)
            else:
                self._path(bucket, name).unlink()
            self._forget(found)
        else:
            self._version_path(found).unlink()
            self._version_path(found).with_suffix(".json").unlink()

    def _names(self, bucket: str) -> Iterator[str]:
        base = self._bucket(bucket)
        for folder, folders, files in os.walk(base):
            folders.sort()
            for file in files:
                relative = Path(folder, file).relative_to(base)
                yield "/".join("" if part == EMPTY_PART else part for part in relative.parts)

    def _bucket(self, bucket: str) -> Path:
        path = self._folder / bucket
        if not BUCKET_NAME.fullmatch(bucket) or not path.is_dir():
            raise NoSuchBucketError(bucket)
        return path

    def _path(self, bucket: str, name: str) -> Path:
        parts = name.split("/")
        too_long = len(name.encode()) > NAME_LIMIT_BYTES or any(len(part.encode()) > 255 for part in parts)
        if not name or too_long or "\0" in name or {".", "..", EMPTY_PART} & set(parts) or "" in parts[:-1]:
            raise BadNameError("Invalid object name")
        return self._bucket(bucket).joinpath(*parts[:-1], parts[-1] or EMPTY_PART)

    def _known(self, bucket: str, name: str) -> dict[str, Any] | None:
        path = self._note_path(bucket, name)
        return dict(json.loads(path.read_text())) if path.exists() else None

    def _take_in(self, bucket: str, name: str, path: Path) -> StoredObject:
        content = path.read_bytes()
        taken = _new_object(bucket, name, content, path.stat().st_mtime_ns // 1000, {})
        return self._remember(replace(taken, created_at=path.stat().st_mtime, updated_at=path.stat().st_mtime))

    def _remember(self, stored: StoredObject) -> StoredObject:
        status = self._path(stored.bucket, stored.name).stat()
        note = self._note_path(stored.bucket, stored.name)
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_suffix(".new")
        draft.write_text(json.dumps({"file": [status.st_size, status.st_mtime_ns], "object": asdict(stored)}))
        draft.replace(note)
        return stored

    def _put_aside(self, stored: StoredObject) -> None:
        old = replace(stored, deleted_at=time.time())
        target = self._version_path(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".json").write_text(json.dumps(asdict(old)))
        self._path(stored.bucket, stored.name).replace(target)

    def _forget(self, stored: StoredObject) -> None:
        """Remove the folders that only this object needed."""
        self._note_path(stored.bucket, stored.name).unlink(missing_ok=True)
        base = self._bucket(stored.bucket)
        for above in self._path(stored.bucket, stored.name).parents:
            if above == base or any(above.iterdir()):
                return
            above.rmdir()

    def _old_versions(self, bucket: str) -> Iterator[StoredObject]:
        for file in (self._folder / ".versions" / bucket).glob("*/*.json"):
            yield StoredObject(**json.loads(file.read_text()))

    def _note_path(self, bucket: str, name: str) -> Path:
        return self._folder / ".objects" / bucket / f"{_digest(name)}.json"

    def _version_path(self, stored: StoredObject) -> Path:
        return self._folder / ".versions" / stored.bucket / _digest(stored.name) / str(stored.generation)

    def _next_generation(self) -> int:
        self._last_generation = max(self._last_generation + 1, time.time_ns() // 1000)
        return self._last_generation


FREE_FIELDS = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "customTime")


def _new_object(bucket: str, name: str, content: bytes, generation: int, resource: Mapping[str, Any]) -> StoredObject:
    now = time.time()
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    made = StoredObject(bucket, name, generation, len(content), md5(content), crc32c(content), now, now)
    return _with_resource(replace(made, content_type=guessed), resource, merge=False)


def _with_resource(stored: StoredObject, resource: Mapping[str, Any], *, merge: bool) -> StoredObject:
    given = resource.get("metadata")
    metadata = {**stored.metadata, **(given or {})} if merge else dict(given or stored.metadata)
    fields = {**stored.fields, **{key: str(resource[key]) for key in FREE_FIELDS if resource.get(key)}}
    return replace(
        stored,
        content_type=str(resource.get("contentType") or stored.content_type),
        metadata={str(key): str(value) for key, value in metadata.items() if value is not None},
        fields=fields,
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
