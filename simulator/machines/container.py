"""One container, as Docker remembers it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

WOLF_REPOSITORY = "games-on-whales/wolf"


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
    project: str = ""
    service: str = ""
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
        """Where the host sees what the container sees there; None when nothing is bound."""
        for volume in sorted(self.volumes, key=len, reverse=True):
            host, _, rest = volume.partition(":")
            target = rest.partition(":")[0].rstrip("/")
            if inside == target or inside.startswith(f"{target}/"):
                return host.rstrip("/") + inside.removeprefix(target)
        return None


def from_compose(project: str, service: str, described: Mapping[str, object]) -> Container:
    """A service of a compose file as the container it asks for."""
    environment = described.get("environment") or {}
    pairs = environment.items() if isinstance(environment, Mapping) else _pairs(environment)
    volumes = described.get("volumes") or ()
    return Container(
        name=str(described.get("container_name") or f"{project}-{service}-1"),
        image=str(described.get("image") or f"{project}-{service}"),
        restart=str(described.get("restart") or "no"),
        environment={str(name): str(value) for name, value in pairs},
        volumes=[str(volume) for volume in volumes] if isinstance(volumes, list) else [],
        project=project,
        service=service,
    )


def _pairs(lines: object) -> list[tuple[str, str]]:
    found = [str(line).partition("=") for line in lines] if isinstance(lines, list) else []
    return [(name, value) for name, _, value in found]
