"""Pins the catalog's images: each tag is resolved to its digest at its registry, kept, and used from then on.

What ships carries tags. A digest moves when the schedule or an operator has the tags resolved again, and never with a
launch. Without a digest the tag itself is used, and the launch says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from errors import ProviderError, UnreadableRecordError
from models.catalog import consoles, repository_of
from models.database import Database
from models.emulator_images import EmulatorImage

log = logging.getLogger(__name__)


class Digests(Protocol):
    """Resolves tags. providers.container_registry.ContainerRegistry implements it."""

    async def digest(self, image: str) -> str: ...


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """`name` is what machines pull. `remark` says why it is a tag, if it is one."""

    name: str
    remark: str | None = None


class EmulatorImages:
    """Without `registry`, tags stay as they are."""

    def __init__(self, db: Database, registry: Digests | None = None) -> None:
        self._db = db
        self._registry = registry

    async def pinned(self, image: str) -> PinnedImage:
        """Return an image by its digest. A tag that was never resolved is resolved now."""
        if "@" in image or self._registry is None:
            return PinnedImage(image)
        known = await self._db.get_derived(EmulatorImage, image)
        if known is None or known.digest is None:
            known = await self.refresh_one(image)
        if known.digest is None:
            return PinnedImage(image, f"Its tag is used, because its digest is not known: {known.problem}")
        return PinnedImage(f"{repository_of(image)}@{known.digest}")

    async def replace_missing(self, image: str, missing: str) -> PinnedImage:
        """Resolve a tag again, because its registry does not have `missing`, by which machines pulled the image.

        Without another digest the tag is used.
        """
        if "@" in image or self._registry is None:
            return PinnedImage(image)
        known = await self.refresh_one(image)
        found = f"{repository_of(image)}@{known.digest}"
        if known.digest is not None and known.problem is None and found != missing:
            return PinnedImage(found)
        why = known.problem or "no other digest is known"
        return PinnedImage(image, f"Its tag is used, because its digest is missing from the registry: {why}")

    async def refresh(self) -> list[EmulatorImage]:
        """Resolve the tags of all consoles again, one after another."""
        return [await self.refresh_one(image) for image in await self._tags()]

    async def refresh_one(self, image: str) -> EmulatorImage:
        """Ask the registry, and keep its answer. One that does not answer leaves the digest as it is."""
        assert self._registry is not None, "images are refreshed by workers, which have a registry"
        now = datetime.now(UTC)
        known = await self._known_or_forgotten(image)
        try:
            digest = await self._registry.digest(image)
        except ProviderError as error:
            log.warning("image could not be resolved", extra={"image": image, "why": str(error)})
            return await self._keep(image, {"problem": error.message, "checked_at": now})
        changes: dict[str, Any] = {"problem": None, "checked_at": now}
        if known is None or known.digest != digest:
            log.info("image moved", extra={"image": image, "digest": digest})
            changes |= {"digest": digest, "resolved_at": now}
        return await self._keep(image, changes)

    async def known(self) -> list[EmulatorImage]:
        """Return the images of all consoles as they are known, in the order of their names."""
        tags = await self._tags()
        read = await self._db.read_many(EmulatorImage, tags)
        found = {tag: image for tag, image in read.items() if isinstance(image, EmulatorImage)}
        return [found.get(tag) or EmulatorImage(id=tag) for tag in tags]

    async def _known_or_forgotten(self, image: str) -> EmulatorImage | None:
        """Return what is known of an image.

        A record that this version cannot read is deleted, because the registry is asked again.
        """
        try:
            return await self._db.get(EmulatorImage, image)
        except UnreadableRecordError:
            await self._db.delete(EmulatorImage, {"_id": image})
            return None

    async def _tags(self) -> list[str]:
        return _without_digest(each.emulator.image for each in (await consoles(self._db)).values())

    async def _keep(self, image: str, changes: dict[str, Any]) -> EmulatorImage:
        blank = EmulatorImage(id=image).model_dump_doc()
        unset = {name: value for name, value in blank.items() if name != "_id" and name not in changes}
        operators = {"$set": changes, **({"$setOnInsert": unset} if unset else {})}
        await self._db.update_or_insert(EmulatorImage, {"_id": image}, operators)
        return await self._db.get(EmulatorImage, image) or EmulatorImage(id=image, **changes)


def _without_digest(images: Iterable[str]) -> list[str]:
    return sorted({image for image in images if "@" not in image})
