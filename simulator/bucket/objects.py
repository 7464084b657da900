"""An object, and the preconditions of a request for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote


class NoSuchBucketError(Exception):
    pass


class NoSuchObjectError(Exception):
    pass


class BadNameError(Exception):
    """No object can have this name here; the message says why."""


class PreconditionFailedError(Exception):
    """The object is not as the caller required. Nothing was done."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One generation of an object. Times are seconds since 1970."""

    bucket: str
    name: str
    generation: int
    size: int
    md5: str
    crc32c: str
    created_at: float
    updated_at: float
    metageneration: int = 1
    content_type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)  # cacheControl and its like, as they were sent
    deleted_at: float | None = None

    def described(self, base_url: str) -> dict[str, Any]:
        """Return the object's resource as Google shows it."""
        path = f"b/{quote(self.bucket, safe='')}/o/{quote(self.name, safe='')}"
        media = f"{base_url}/download/storage/v1/{path}?generation={self.generation}&alt=media"
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{base_url}/storage/v1/{path}",
            "mediaLink": media,
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": str(self.size),
            "md5Hash": self.md5,
            "crc32c": self.crc32c,
            "etag": f"C{self.generation}/{self.metageneration}",
            "timeCreated": _stamp(self.created_at),
            "updated": _stamp(self.updated_at),
            "timeStorageClassUpdated": _stamp(self.created_at),
            **({"metadata": self.metadata} if self.metadata else {}),
            **({"timeDeleted": _stamp(self.deleted_at)} if self.deleted_at else {}),
            **self.fields,
        }


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The generation and metageneration that are required or excluded; generation 0 means that there is no object."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], prefix: str = "if") -> Preconditions:
        """Parse a query. Raises ValueError for a value that is no number."""

        def number(name: str) -> int | None:
            return int(query[prefix + name]) if prefix + name in query else None

        return cls(
            number("GenerationMatch"),
            number("GenerationNotMatch"),
            number("MetagenerationMatch"),
            number("MetagenerationNotMatch"),
        )

    def check(self, found: StoredObject | None) -> None:
        """Check an object. Raises PreconditionFailedError."""
        generation = found.generation if found else 0
        metageneration = found.metageneration if found else 0
        wrong = (
            self.generation not in (None, generation)
            or (self.not_generation is not None and self.not_generation == generation)
            or self.metageneration not in (None, metageneration)
            or (self.not_metageneration is not None and self.not_metageneration == metageneration)
        )
        if wrong:
            raise PreconditionFailedError


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
