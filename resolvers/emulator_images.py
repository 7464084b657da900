"""Emulator images: the digests that launches use, and their refresh."""

from __future__ import annotations

from collections.abc import Sequence

from auth.authorization import require
from models.emulator_images import EmulatorImage
from resolvers.audit import audited, authorize
from resolvers.context import Context


async def emulator_images(context: Context) -> Sequence[EmulatorImage]:
    """Return the images of all consoles, in the order of their names."""
    require(context.caller, "Query.emulatorImages")
    return await context.services.images.images()


async def refresh_emulator_images(context: Context, image: str | None) -> Sequence[EmulatorImage]:
    """Have a worker ask the registry of one image, or of all.

    Raise NotFoundError for an image that is not configured, UnavailableError if no worker has asked within some
    seconds.
    """
    await authorize(context, "refreshEmulatorImages")
    await context.services.images.check(image)
    async with audited(context, "refreshEmulatorImages", image):
        return await context.services.images.refresh(image)
