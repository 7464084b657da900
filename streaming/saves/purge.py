"""Removes deleted saves from the bucket for good when the time in which they can be undeleted is over."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from providers.storage.bucket import Bucket, GenerationConflictError
from streaming.saves.contents import DELETED
from streaming.saves.versions import moment_of

log = logging.getLogger(__name__)

_DELETION: Final = 4  # behind the folders of user, console, game and save


async def purge_deleted_saves(bucket: Bucket, now: datetime, undelete_for: timedelta) -> int:
    """Remove every object of deletions that are older, and return how many. May be repeated at any time.

    What lies in a folder that names no deletion is left alone.
    """
    removed = 0
    for one in await bucket.list(f"{DELETED}/"):
        folders = one.name.removeprefix(f"{DELETED}/").split("/")
        deleted_at = moment_of(folders[_DELETION]) if len(folders) > _DELETION + 1 else None
        if deleted_at is None or now < deleted_at + undelete_for:
            continue
        try:
            await bucket.remove(one.name, if_generation=one.generation)
            removed += 1
        except GenerationConflictError:
            log.warning("a deleted save was written again and is kept", extra={"object": one.name})
    return removed
