"""The images of emulators as operators see them, and their refresh on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from errors import NotFoundError
from launch.messages import ImageRefresh
from models.database import Database
from models.emulator_images import EmulatorImage
from streaming.emulator_images import EmulatorImages


class ImageRefreshClient(Protocol):
    """Has a worker resolve all tags. launch.workflow_client.LazyWorkflowClient implements it."""

    async def refresh_images(self, refresh: ImageRefresh) -> None: ...


class ImageService:
    def __init__(self, db: Database, engine: ImageRefreshClient) -> None:
        self._images = EmulatorImages(db)
        self._engine = engine

    async def images(self) -> Sequence[EmulatorImage]:
        """Return the images of all consoles with the digests that launches use."""
        return await self._images.known()

    async def check(self, image: str | None) -> None:
        """Raise NotFoundError for an image that no console is configured with by its tag."""
        if image is not None and image not in {each.id for each in await self._images.known()}:
            raise NotFoundError("no console is configured with this image and a tag", ("image",))

    async def refresh(self, image: str | None) -> Sequence[EmulatorImage]:
        """Have a worker ask the registry of one image, or of all, and return what is known of all then.

        Raises UnavailableError if no worker has done so within some seconds; it goes on with it.
        """
        await self._engine.refresh_images(ImageRefresh(image))
        return await self._images.known()
