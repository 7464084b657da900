"""Docker on a machine: its containers, and the Wolf in one of them."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime

from simulator.machines.container import Container
from simulator.machines.host import Host
from simulator.machines.images import ImageError, Images
from simulator.machines.mounts import Mount
from simulator.machines.tree import is_below
from simulator.machines.wolf.server import Wolf, WolfFailedError

CONTAINERS_FILE = "/var/lib/docker/containers.json"
LOG_FOLDER = "/var/lib/docker/logs"
START_TAKES_S = 1.0
STARTED_AGAIN = ("always", "unless-stopped")


class DockerError(Exception):
    """The Docker daemon refuses; the message is its answer."""


class Containers:
    """The Docker daemon. Its records survive a reboot; containers run again as their restart policy says."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.images = Images(host)
        self._wolves: dict[str, Wolf] = {}
        self._mounts_seen: dict[str, dict[str, Mount]] = {}

    def all(self) -> list[Container]:
        files = self._host.root_files
        rows = json.loads(files.read_text(CONTAINERS_FILE)) if files.is_file(CONTAINERS_FILE) else []
        known = {field.name for field in fields(Container)}
        return [Container(**{name: value for name, value in row.items() if name in known}) for row in rows]

    def find(self, name_or_id: str) -> Container:
        for container in self.all():
            if container.name == name_or_id or (len(name_or_id) >= 4 and container.id.startswith(name_or_id)):
                return container
        raise DockerError(f"No such container: {name_or_id}")

    def wolf(self, name: str | None = None) -> Wolf:
        """Return the running Wolf. Raises LookupError when there is none."""
        found = [wolf for known, wolf in self._wolves.items() if name in (None, known)]
        if not found:
            raise LookupError("no Wolf runs on this machine")
        return found[0]

    def is_streaming(self) -> bool:
        return any(wolf.sessions for wolf in self._wolves.values())

    def listening(self) -> set[int]:
        """Return the ports that containers listen on."""
        return {port for wolf in self._wolves.values() for port in wolf.ports}

    async def pull(self, image: str, layer_done: Callable[[int], None] = lambda number: None) -> bool:
        """Fetch an image, and return whether it was missing."""
        try:
            return await self.images.pull(image, layer_done)
        except ImageError as error:
            raise DockerError(str(error)) from error

    async def ensure_image(self, image: str) -> None:
        """Pull an image unless it is there."""
        if not self.images.has(image):
            await self.pull(image)

    async def create(self, container: Container) -> None:
        """Create a container without starting it, its image pulled. One with the same name is replaced."""
        await self.ensure_image(container.image)
        if any(known.name == container.name for known in self.all()):
            await self.remove(container.name)
        self._put(container)

    async def start(self, name: str) -> None:
        container = self.find(name)
        if container.is_running:
            return
        await self._host.clock.sleep(START_TAKES_S)
        container.state, container.exit_code = "running", 0
        container.started_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if container.is_wolf:
            await self._start_wolf(container)
        self._put(container)

    async def stop(self, name: str) -> None:
        container = self.find(name)
        if container.state in ("running", "restarting", "paused"):
            container.state, container.exit_code = "exited", 0
            self._put(container)
            if wolf := self._wolves.pop(container.name, None):
                await wolf.stop()
            if parent := self._wolves.get(container.parent):
                parent.app_ended(container.name)

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.start(name)

    async def remove(self, name: str) -> None:
        container = self.find(name)
        await self.stop(container.name)
        self._save([known for known in self.all() if known.name != container.name])
        log_file = f"{LOG_FOLDER}/{container.name}.log"
        if self._host.root_files.exists(log_file):
            self._host.root_files.remove(log_file)

    async def unpause(self, name: str) -> None:
        container = self.find(name)
        if container.state != "paused":
            raise DockerError(f"Container {container.id} is not paused")
        container.state = "running"
        self._put(container)

    def add_running(self, container: Container) -> None:
        """Add a container that another one started."""
        container.state = "running"
        self._mounts_seen[container.name] = {mount.point: mount for mount in self._host.mounts}
        container.started_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._put(container)

    def path_seen(self, container: Container, inside: str) -> str:
        """Return the host's path of what a container sees there. Raises OSError.

        A container keeps the mounts of its start, unless it follows the host's: one that has ended is dead in it,
        even if the host mounts it again.
        """
        host = container.host_path(inside)
        if host is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", inside)
        host = self._host.tree.resolve(host)
        seen = self._mounts_seen.get(container.name, {})
        for point, mount in seen.items():
            is_kept = is_below(host, point) and point != "/" and not container.follows_mounts(point)
            if is_kept and self._host.mounts.at(point) is not mount:
                raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", inside)
        return host

    def drop(self, name: str) -> None:
        """Forget a container that ended by itself."""
        self._save([known for known in self.all() if known.name != name])

    def log(self, name: str, line: str) -> None:
        self._host.root_files.mkdir(LOG_FOLDER, parents=True)
        with self._host.root_files.open(f"{LOG_FOLDER}/{name}.log", "a") as file:
            file.write(line.encode() + b"\n")

    def log_lines(self, name: str) -> list[str]:
        path = f"{LOG_FOLDER}/{self.find(name).name}.log"
        return self._host.root_files.read_text(path).splitlines() if self._host.root_files.is_file(path) else []

    async def start_up(self) -> None:
        """Start containers after a boot, and remove those that Wolf had started, as Wolf does."""
        self._save([container for container in self.all() if not container.parent])
        for container in self.all():
            if container.restart in STARTED_AGAIN and container.state in ("interrupted", "restarting"):
                await self.start(container.name)

    async def power_cut(self) -> None:
        for wolf in self._wolves.values():
            await wolf.stop()
        self._wolves.clear()
        known = self.all()
        for container in known:
            container.state = "interrupted" if container.state in ("running", "restarting") else container.state
        if known:
            self._save(known)

    async def _start_wolf(self, container: Container) -> None:
        wolf = Wolf(self._host, container, self)
        try:
            await wolf.start()
        except WolfFailedError as error:
            self.log(container.name, f"[ERROR] {error}")
            container.state = "restarting" if container.restart in STARTED_AGAIN else "exited"
            container.exit_code = 1
            return
        self._wolves[container.name] = wolf

    def _put(self, container: Container) -> None:
        others = [known for known in self.all() if known.name != container.name]
        self._save([*others, container])

    def _save(self, containers: Sequence[Container]) -> None:
        rows = [asdict(container) for container in containers]
        self._host.root_files.replace(CONTAINERS_FILE, json.dumps(rows, indent=1))
