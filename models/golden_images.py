"""The prepared disk images at Google, one for each storage location, and which of them machines are created from."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from odmantic import Field, Model

from models.database import Database
from models.vms import Vm
from providers.tags import parse_tag

log = logging.getLogger(__name__)

BUILDER: Final = "image-builder"  # the user of the machines that images are made from
LOCATIONS: Final = ("us", "eu", "asia")
_LOCATIONS_OF: Final = {
    **dict.fromkeys(("us", "northamerica", "southamerica"), "us"),
    **dict.fromkeys(("europe", "me", "africa"), "eu"),
    **dict.fromkeys(("asia", "australia"), "asia"),
}


class GoldenImage(Model):
    """One image, by its storage location. `host_key` is that of the machine that it was made from."""

    id: str = Field(primary_field=True)  # "us", "eu" or "asia"
    image: str
    host_key: str | None = None
    made_at: datetime
    problem: str | None = None  # why it is not used any longer

    model_config = {"collection": "golden_images"}


def location_of(region: str) -> str | None:
    """Return the storage location of images for machines in this region."""
    return _LOCATIONS_OF.get(region.partition("-")[0])


async def is_copied(db: Database, host_key: str) -> bool:
    """Return whether a prepared image has this SSH host key. Machines from it are not created any longer then."""
    problem = {"problem": "machines from it have its SSH host key instead of their own"}
    return await db.update(GoldenImage, {"host_key": host_key}, {"$set": problem}) is not None


class GoldenImages:
    """The DiskImages of providers.cloudypad.disk_images. `kept` is how old an image may be."""

    def __init__(self, db: Database, kept: timedelta) -> None:
        self._db = db
        self._kept = kept

    async def find(self, region: str, tag: str) -> str | None:
        """Return the image for a new machine; None where none is usable, and for machines that images are made from."""
        location = location_of(region)
        image = None if location is None else await self._db.get(GoldenImage, location)
        if image is None or image.problem is not None or datetime.now(UTC) - image.made_at > self._kept:
            return None
        return None if await self._is_builder(tag) else image.image

    async def record_problem(self, image: str, problem: str) -> None:
        """Use this image no longer."""
        log.error("a prepared disk image cannot be used", extra={"image": image, "why": problem})
        await self._db.update_many(GoldenImage, {"image": image}, {"$set": {"problem": problem}})

    async def _is_builder(self, tag: str) -> bool:
        parts = parse_tag(tag)
        vm = None if parts is None else await self._db.get(Vm, parts.vm_id)
        return vm is not None and vm.user_id == BUILDER
