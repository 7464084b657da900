"""One container, as Docker remembers it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

WOLF_REPOSITORY = "games-on-whales/wolf"


class WolfShape(StrEnum):
    """The ages of Wolf's interface. The older one has numeric ids, fewer paths, and a socket inside its container."""

    Y2024 = "2024"
    NEWER = "newer"


@dataclass(slots=True)
class Container:
    """`volumes` are `host:container[:mode]`; `parent` names the container that started this one."""

    name: str
    image: str
    state: str = "created"
    exit_code: int = 0
    restart: str = "no"
    environment: dict[str, str] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    parent: str = ""
    started_at: str = ""

    @property
    def id(self) -> str:
        return hashlib.sha256(f"{self.name}@{self.image}".encode()).hexdigest()

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    @property
    def is_wolf(self) -> bool:
        return WOLF_REPOSITORY in self.image and "wolf-ui" not in self.image

    def host_path(self, inside: str) -> str | None:
        """Return the host's path of what the container sees there; None when nothing is bound."""
        for volume in sorted(self.volumes, key=len, reverse=True):
            host, _, rest = volume.partition(":")
            target = rest.partition(":")[0].rstrip("/")
            if inside == target or inside.startswith(f"{target}/"):
                return host.rstrip("/") + inside.removeprefix(target)
        return None

    def follows_mounts(self, point: str) -> bool:
        """Return whether a mount of the host comes and goes here too, because its folder is bound as a slave."""
        parts = [volume.split(":") for volume in self.volumes if volume.count(":") == 2]
        followed = [part[0].rstrip("/") for part in parts if {"rslave", "rshared"} & set(part[2].split(","))]
        return any(point.startswith(f"{folder}/") for folder in followed)


class AppContainers(Protocol):
    """The part of Docker that Wolf uses for the apps that it starts."""

    async def ensure_image(self, image: str) -> None: ...
    def add_running(self, container: Container) -> None: ...
    def drop(self, name: str) -> None: ...
    def log(self, name: str, line: str) -> None: ...
