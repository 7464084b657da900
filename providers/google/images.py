"""Disk images at Google Compute Engine: made from a machine's disk, listed and deleted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from errors import ProviderBusyError, ProviderRefusedError
from providers.google.compute import ComputeEngine, moment_of

_NAME: Final = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
READY: Final = "READY"
FAILED: Final = "FAILED"


@dataclass(frozen=True, slots=True)
class GoogleImage:
    """An image. `path` is the name by which machines are created from it; `status` is Google's term."""

    name: str
    path: str
    status: str
    labels: Mapping[str, str]
    created_at: datetime | None = None


class GoogleImages:
    """Needs `compute.images.create`, `get`, `list`, `delete`, `setLabels` and `compute.disks.useReadOnly`."""

    def __init__(self, compute: ComputeEngine) -> None:
        self._compute = compute

    async def create(self, name: str, source_disk: str, *, location: str, labels: Mapping[str, str]) -> None:
        """Request an image of a disk, which no running machine may use. A name that exists counts as requested.

        `source_disk` is a path below `projects/`, `location` a region or one of `us`, `eu`, `asia`.
        """
        body = {
            "name": _validate(name),
            "sourceDisk": f"projects/{source_disk}",
            "storageLocations": [location],
            "labels": dict(labels),
        }
        if await self.get(name) is None:
            await self._compute.request("POST", self._base, body)

    async def get(self, name: str) -> GoogleImage | None:
        found = await self._compute.request("GET", f"{self._base}/{quote(_validate(name))}")
        return None if found is None else self._image(found)

    async def list_labelled(self, key: str, value: str) -> list[GoogleImage]:
        """Return the project's images with this label."""
        query = urlencode({"filter": f'(labels.{key} = "{value}")'})
        page = await self._compute.request("GET", f"{self._base}?{query}")
        if page is None or page.get("nextPageToken"):
            raise ProviderBusyError("Compute Engine did not list every image")
        items = page.get("items")
        return [self._image(raw) for raw in (items if isinstance(items, list) else ()) if isinstance(raw, dict)]

    async def delete(self, name: str) -> None:
        """Request the deletion of an image. One that is gone counts as deleted."""
        await self._compute.request("DELETE", f"{self._base}/{quote(_validate(name))}")

    @property
    def _base(self) -> str:
        return f"{quote(self._compute.project)}/global/images"

    def _image(self, raw: Mapping[str, Any]) -> GoogleImage:
        name = str(raw.get("name", ""))
        labels = raw.get("labels")
        return GoogleImage(
            name=name,
            path=f"projects/{self._compute.project}/global/images/{name}",
            status=str(raw.get("status", "")),
            labels={str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
            created_at=moment_of(raw.get("creationTimestamp")),
        )


def _validate(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ProviderRefusedError(f"not a name of an image at Google: {name[:64]!r}")
    return name
