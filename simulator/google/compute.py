"""Machines of the simulated Google Cloud, as CloudyPad's Pulumi makes, stops, images and deletes them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulator.clock import Clock
from simulator.google import disks
from simulator.google.instance_metadata import InstanceMetadata
from simulator.google.lives import Lives
from simulator.machines.pool import MachinePark

PREFIX = "gcp-"
DATA_FOLDER = "/var/lib/cloudypad"
STOP_TAKES_S = 5.0
BOOT_TAKES_S = 8.0
IMAGE_TAKES_S = 5.0
EXHAUSTED = (
    "Error creating instance: googleapi: Error 503: The zone 'projects/{projectId}/zones/{zone}' does not have enough "
    "resources available to fulfill the request. '(resource type:compute)', ZONE_RESOURCE_POOL_EXHAUSTED"
)


QUOTA = (
    "Error creating instance: googleapi: Error 403: Quota '{name}' exceeded.  Limit: {limit} {where}., quotaExceeded"
)
NO_IMAGE = "Error creating instance: googleapi: Error 404: The resource '{}' was not found, notFound"
_GONE = ("GIVEN_UP", "VANISHED")


class CloudError(Exception):
    """The cloud refuses; the message is in its own words."""


@dataclass(slots=True)
class Server:
    """A machine, or its remains after its server was given up."""

    name: str
    user: str
    public_key: str
    project_id: str
    zone: str
    machine_type: str
    accelerator: str
    spot: bool
    status: str = "PROVISIONING"
    stopped_at: str | None = None
    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # of the instance and its disks, by their names

    @property
    def id(self) -> str:
        return PREFIX + self.name

    @property
    def instance_name(self) -> str:
        """Return the name of the instance, which is also that of its root disk."""
        return f"cloudypad-{self.name}"

    @property
    def exists(self) -> bool:
        return self.status not in _GONE


class GoogleMachines:
    """All servers. One step at a time is done for each; every step may be repeated."""

    def __init__(self, park: MachinePark, clock: Clock, folder: Path) -> None:
        self.full_zones: set[str] = set()
        self.quotas_used_up: list[tuple[str, str | None]] = []  # by name, and the region that it counts in
        self.image_folder: Callable[[str], Path | None] = lambda image_id: None
        self.lives = Lives(folder / "lives.json")
        self._park = park
        self._clock = clock
        self._folder = folder
        self._servers: dict[str, Server] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def restore(self) -> None:
        """Load the servers of an earlier run. The park has loaded its machines already."""
        self.lives.restore()
        file = self._folder / "servers.json"
        rows = json.loads(file.read_text()) if file.exists() else []
        self._servers = {row["name"]: Server(**row) for row in rows}
        for server in self._servers.values():
            if server.status in ("RUNNING", "STAGING"):
                self._park.machine(server.id).metadata = InstanceMetadata()
                await self._park.power_on(server.id)
                self.move(server, "RUNNING")

    async def make(self, order: Mapping[str, Any]) -> Server:
        """Return the server of this name, created if there is none; one that was given up begins from its image."""
        name = str(order["name"])
        async with self.alone_on(name):
            server = self._servers.get(name)
            if server and server.status == "TERMINATED":
                await self._boot(server)
            if server and server.exists and server.status != "PROVISIONING":
                return server
            if str(order["zone"]) in self.full_zones:
                raise CloudError(EXHAUSTED.format(**order))
            self._require_quota(str(order["zone"]))
            if order.get("imageId") and self.image_folder(str(order["imageId"])) is None:
                raise CloudError(NO_IMAGE.format(order["imageId"]))
            server = _ordered(order)
            self._servers[name] = server
            self.move(server, "PROVISIONING")
            await self._park.create(
                server.id,
                user=server.user,
                authorized_keys=[server.public_key],
                prepare_disk=lambda folder: self._prepare_disk(folder, name, order.get("imageId")),
            )
            disks.load_folder(self._park.machine(server.id).tree, DATA_FOLDER, self._snapshot(name))
            await self._boot(server)
            return server

    def find(self, name: str) -> Server:
        server = self._servers.get(name)
        if not server or not server.exists:
            raise CloudError(f"The resource 'instances/cloudypad-{name}' was not found")
        return server

    def named(self, name: str) -> Server | None:
        return self._servers.get(name)

    def all(self) -> list[Server]:
        return list(self._servers.values())

    async def start(self, name: str) -> None:
        async with self.alone_on(name):
            server = self.find(name)
            if server.status != "RUNNING":
                if server.zone in self.full_zones:
                    raise CloudError(EXHAUSTED.format(projectId=server.project_id, zone=server.zone))
                await self._boot(server)

    async def stop(self, name: str) -> None:
        async with self.alone_on(name):
            server = self.find(name)
            if server.status != "TERMINATED":
                self.move(server, "STOPPING")
                await self._clock.sleep(STOP_TAKES_S)
                await self._park.power_off(server.id)
                self.move(server, "TERMINATED")

    async def image(self, name: str) -> None:
        """Make an image of the root disk. The machine is off while that takes."""
        server = self.find(name)
        await self.stop(name)
        async with self.alone_on(name):
            await self._clock.sleep(IMAGE_TAKES_S)
            disks.save(self._park.machine(server.id).folder, self._image(name), without=DATA_FOLDER)
        await self.start(name)

    async def snapshot(self, name: str) -> None:
        """Keep the content of the data disk."""
        async with self.alone_on(name):
            await self._clock.sleep(IMAGE_TAKES_S)
            disks.save_folder(self._park.machine(self.find(name).id).tree, DATA_FOLDER, self._snapshot(name))

    async def give_up(self, name: str) -> None:
        """Delete server and disks; address, image and snapshot stay. May be repeated."""
        async with self.alone_on(name):
            server = self._servers.get(name)
            if server and server.exists:
                await self._park.destroy(server.id)
                self.move(server, "GIVEN_UP")

    async def vanish(self, name: str) -> None:
        """Delete the instance as at Google's own console: disks and network stay, and CloudyPad is not informed."""
        async with self.alone_on(name):
            server = self.find(name)
            await self._park.destroy(server.id)
            server.labels.pop(server.instance_name, None)
            self.move(server, "VANISHED")

    def label(self, server: Server, resource: str, labels: Mapping[str, str]) -> None:
        server.labels[resource] = dict(labels)
        self._save()

    async def delete(self, name: str) -> None:
        """Delete everything of this name. May be repeated."""
        async with self.alone_on(name):
            if server := self._servers.pop(name, None):
                await self._park.destroy(server.id)
                self.lives.end(name)
                shutil.rmtree(self._folder / name, ignore_errors=True)
                self._save()

    def switched_off_inside(self, machine_id: str) -> None:
        server = self._servers.get(machine_id.removeprefix(PREFIX))
        if server and server.status == "RUNNING":
            self.move(server, "TERMINATED")

    async def reset(self) -> None:
        self.full_zones.clear()
        self.quotas_used_up.clear()
        for server in self.all():
            await self.delete(server.name)
        self.lives.clear()

    def _prepare_disk(self, folder: Path, name: str, image_id: object) -> None:
        given = self.image_folder(str(image_id)) if image_id else None
        if given is None:
            disks.restore(self._image(name), folder)
        else:
            disks.restore(given, folder)
            disks.renew(folder)

    def _require_quota(self, zone: str) -> None:
        for name, region in self.quotas_used_up:
            if region is None:
                raise CloudError(QUOTA.format(name=name, limit="0.0", where="globally"))
            if zone.rpartition("-")[0] == region:
                raise CloudError(QUOTA.format(name=name, limit="1.0", where=f"in region {region}"))

    async def _boot(self, server: Server) -> None:
        self.move(server, "STAGING")
        await self._clock.sleep(BOOT_TAKES_S)
        self._park.machine(server.id).metadata = InstanceMetadata()
        await self._park.power_on(server.id)
        self.move(server, "RUNNING")

    @contextlib.asynccontextmanager
    async def alone_on(self, name: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    def _image(self, name: str) -> Path:
        return self._folder / name / "image"

    def _snapshot(self, name: str) -> Path:
        return self._folder / name / "data"

    def move(self, server: Server, status: str) -> None:
        server.status = status
        if status == "TERMINATED":
            server.stopped_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.lives.note(server.name, status)
        self._save()

    def _save(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / "servers.json.new"
        draft.write_text(json.dumps([asdict(server) for server in self._servers.values()], indent=1))
        draft.replace(self._folder / "servers.json")


def _ordered(order: Mapping[str, Any]) -> Server:
    return Server(
        name=str(order["name"]),
        user=str(order["user"]),
        public_key=str(order["public_key"]),
        project_id=str(order["projectId"]),
        zone=str(order["zone"]),
        machine_type=str(order["machineType"]),
        accelerator=str(order["acceleratorType"]),
        spot=bool(order["useSpot"]),
    )
