"""Disk images of the simulated Google Cloud, and Compute Engine's routes to them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from simulator.clock import Clock
from simulator.google import disks
from simulator.google.compute import GoogleMachines
from simulator.google.compute_api import BASE, SELF_LINK, RefusedError, errors_as_json
from simulator.machines.pool import MachinePark

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
DISK = re.compile(r"(?:https://[^/]+/compute/v1/)?projects/([^/]+)/zones/([^/]+)/disks/([^/]+)")
LABEL = re.compile(r'\(?\s*labels\.([a-z0-9_-]+)\s*=\s*"([a-z0-9_-]*)"\s*\)?')
TAKES_S = 60.0
IN_USE = (
    "The disk resource 'projects/{}/zones/{}/disks/{}' is already being used by 'projects/{}/zones/{}/instances/{}'"
)


@dataclass(slots=True)
class Image:
    name: str
    project: str
    status: str
    locations: list[str]
    created_at: str
    labels: dict[str, str] = field(default_factory=dict)


class Images:
    """The images, with their content in a folder each. One is PENDING until its content is copied."""

    def __init__(self, machines: GoogleMachines, park: MachinePark, clock: Clock, folder: Path) -> None:
        self._machines = machines
        self._park = park
        self._clock = clock
        self._folder = folder
        self._images: dict[str, Image] = {}
        self._making: set[asyncio.Task[None]] = set()
        machines.image_folder = self.content_of

    def restore(self) -> None:
        file = self._folder / "images.json"
        self._images = {row["name"]: Image(**row) for row in json.loads(file.read_text())} if file.exists() else {}

    async def close(self) -> None:
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)

    def content_of(self, image_id: str) -> Path | None:
        """Return the folder with an image's content, by the id in CloudyPad's state; None if there is none."""
        image = self._images.get(image_id.rpartition("/")[2])
        return self._folder / image.name if image is not None and image.status == "READY" else None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        base = f"{BASE}/global/images"
        router.add_post(base, errors_as_json(self._insert))
        router.add_get(base, errors_as_json(self._list))
        router.add_get(f"{base}/{{name}}", errors_as_json(self._get))
        router.add_delete(f"{base}/{{name}}", errors_as_json(self._delete))

    async def _insert(self, request: web.Request) -> web.Response:
        project, body = request.match_info["project"], await request.json()
        name, disk = str(body.get("name", "")), DISK.fullmatch(str(body.get("sourceDisk", "")))
        if not NAME.fullmatch(name) or disk is None:
            raise RefusedError(400, "Invalid value for field 'resource.name' or 'resource.sourceDisk'.", "invalid")
        if name in self._images:
            where = f"projects/{project}/global/images/{name}"
            raise RefusedError(409, f"The resource '{where}' already exists", "alreadyExists")
        servers = [each for each in self._machines.all() if each.instance_name == disk[3] and each.zone == disk[2]]
        if not servers or servers[0].status in ("GIVEN_UP", "VANISHED"):
            raise RefusedError(404, f"The resource '{disk[0]}' was not found", "notFound")
        if servers[0].status != "TERMINATED":
            raise RefusedError(400, IN_USE.format(*disk.groups(), *disk.groups()), "resourceInUseByAnotherResource")
        made_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        locations = [str(each) for each in body.get("storageLocations") or ["us"]]
        image = Image(name, project, "PENDING", locations, made_at, dict(body.get("labels") or {}))
        self._images[name] = image
        self._save()
        task = asyncio.create_task(self._make(image, self._park.machine(servers[0].id).folder))
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        return web.json_response({"kind": "compute#operation", "operationType": "insert", "status": "RUNNING"})

    async def _make(self, image: Image, machine_folder: Path) -> None:
        await self._clock.sleep(TAKES_S)
        disks.save_whole(machine_folder, self._folder / image.name)
        image.status = "READY"
        self._save()

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(_described(self._found(request)))

    async def _list(self, request: web.Request) -> web.Response:
        project, condition = request.match_info["project"], request.query.get("filter", "")
        wanted = LABEL.fullmatch(condition)
        if condition and wanted is None:
            raise RefusedError(400, "Invalid value for field 'filter'.", "invalid")
        here = [image for image in self._images.values() if image.project == project]
        if wanted is not None:
            here = [image for image in here if image.labels.get(wanted[1]) == wanted[2]]
        return web.json_response({"kind": "compute#imageList", "items": [_described(image) for image in here]})

    async def _delete(self, request: web.Request) -> web.Response:
        image = self._found(request)
        del self._images[image.name]
        self._save()
        shutil.rmtree(self._folder / image.name, ignore_errors=True)
        return web.json_response({"kind": "compute#operation", "operationType": "delete", "status": "RUNNING"})

    def _found(self, request: web.Request) -> Image:
        project, name = request.match_info["project"], request.match_info["name"]
        image = self._images.get(name)
        if image is None or image.project != project:
            raise RefusedError(404, f"The resource 'projects/{project}/global/images/{name}' was not found", "notFound")
        return image

    def _save(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / "images.json.new"
        draft.write_text(json.dumps([asdict(image) for image in self._images.values()], indent=1))
        draft.replace(self._folder / "images.json")


def _described(image: Image) -> Mapping[str, Any]:
    return {
        "kind": "compute#image",
        "name": image.name,
        "status": image.status,
        "selfLink": f"{SELF_LINK}{image.project}/global/images/{image.name}",
        "storageLocations": image.locations,
        "creationTimestamp": image.created_at,
        **({"labels": image.labels} if image.labels else {}),
    }
