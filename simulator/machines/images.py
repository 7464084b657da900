"""The images that a machine's container engine has."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence

from simulator.machines.host import Host
from simulator.machines.packages import INSTALL_FAILS
from simulator.registry.catalog import ImageName

FILE = "/var/lib/docker/images.json"
LAYERS = 6


class ImageError(Exception):
    """No registry has this image, or its registry does not answer."""


class Images:
    """Images survive restarts. One image is fetched once, however many ask for it at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._fetching: dict[str, asyncio.Lock] = {}

    def all(self) -> list[str]:
        files = self._host.root_files
        return list(json.loads(files.read_text(FILE))) if files.is_file(FILE) else []

    def has(self, image: str) -> bool:
        return str(ImageName.read(image)) in self.all()

    async def pull(self, image: str, layer_done: Callable[[int], None] = lambda number: None) -> bool:
        """Fetch an image with its digest, and return whether it was missing."""
        name = ImageName.read(image)
        digest = self._host.images_of_the_world.digest(name)
        if digest is None:
            raise ImageError(f"manifest for {image} not found: manifest unknown: manifest unknown")
        async with self._fetching.setdefault(str(name), asyncio.Lock()):
            pinned = ImageName(name.repository, digest)
            if {str(name), str(pinned)} <= set(self.all()):
                return False
            await self._fetch(name, layer_done)
            self._add(str(name), str(pinned))
        return True

    async def _fetch(self, name: ImageName, layer_done: Callable[[int], None]) -> None:
        if INSTALL_FAILS in self._host.faults:
            await self._host.clock.sleep(1)
            host = name.repository.partition("/")[0]
            raise ImageError(f'Get "https://{host}/v2/": dial tcp: i/o timeout')
        takes_s = self._host.clock.delays.of_image(name.repository)
        for number in range(LAYERS):
            await self._host.clock.sleep(takes_s / LAYERS)
            layer_done(number)

    def _add(self, *names: str) -> None:
        known = self.all()
        self._host.root_files.replace(FILE, json.dumps([*known, *(name for name in names if name not in known)]))


def layers_of(image: str) -> Sequence[str]:
    """Return the short ids of an image's layers."""
    return [hashlib.sha256(f"{image} {number}".encode()).hexdigest()[:12] for number in range(LAYERS)]
