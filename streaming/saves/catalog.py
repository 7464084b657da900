"""Reads players' saves from the bucket: slots, their versions, and the number of files in each."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from models.catalog import ConsoleType
from providers.storage.bucket import Bucket, GenerationConflictError
from streaming.saves.archive import packed_limit
from streaming.saves.contents import (
    SlotContents,
    StoredVersion,
    contents_of,
    deleted_prefix,
    prefix_of,
    slots_in,
)
from streaming.saves.parts import FILES
from streaming.saves.slots import SaveSlot, user_prefix
from streaming.saves.summary import ArchiveSummary, summary_of_archive, summary_of_start

_STARTS: Final = (64 * 2**10, 4 * 2**20)
_AT_ONCE: Final = 4
_REMEMBERED: Final = 20_000


class SaveCatalog:
    """Read access to the saves. Every call may raise a ProviderError."""

    def __init__(self, bucket: Bucket, *, limit_bytes: int = 256 * 2**20) -> None:
        self._bucket = bucket
        self._limit_bytes = limit_bytes
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._summaries: OrderedDict[tuple[str, int], ArchiveSummary] = OrderedDict()

    async def slots(
        self, user_id: str, console: ConsoleType, game_id: str | None, *, deleted: bool = False
    ) -> list[SlotContents]:
        """Return a user's slots of a console, or of one game, sorted by name, with one listing.

        With `deleted`, every deletion is an entry of its own.
        """
        top = deleted_prefix(user_id) if deleted else user_prefix(user_id)
        game = "" if game_id is None else f"{game_id}/"
        found = await self._bucket.list(f"{top}/{console.value}/{game}")
        return slots_in(user_id, found, deleted=deleted)

    async def slot(self, slot: SaveSlot, deletion: str | None = None) -> SlotContents:
        """Return a slot, or one of its deletions; it is empty if it does not exist."""
        found = await self._bucket.list(f"{prefix_of(slot, deletion)}/")
        return contents_of(slot, found, deletion)

    async def deletions(self, slot: SaveSlot) -> list[SlotContents]:
        """Return the deletions of a slot, the newest first."""
        found = await self._bucket.list(f"{deleted_prefix(slot.user_id)}{slot.prefix.removeprefix(_users(slot))}/")
        deletions = [one for one in slots_in(slot.user_id, found, deleted=True) if one.slot == slot]
        return sorted(deletions, key=lambda one: one.deletion or "", reverse=True)

    async def summary(self, version: StoredVersion) -> ArchiveSummary:
        """Return the number of files in a version, from its metadata or else from its content."""
        noted = version.stored.metadata.get(FILES, "")
        if noted.isascii() and noted.isdigit():
            return ArchiveSummary(int(noted[:9]))
        key = (version.stored.name, version.stored.generation)
        if key not in self._summaries:
            async with self._turn:
                self._summaries[key] = await self._read_summary(version)
            while len(self._summaries) > _REMEMBERED:
                self._summaries.popitem(last=False)
        return self._summaries[key]

    async def _read_summary(self, version: StoredVersion) -> ArchiveSummary:
        about = version.stored
        for length in _STARTS if about.encoding is None else ():
            start = await self._bucket.read_start(about, length)
            if (found := summary_of_start(start)) is not None:
                return found
            if len(start) < length:
                return await asyncio.to_thread(summary_of_archive, start, self._limit_bytes)
        stored = await self._bucket.read(about.name, packed_limit(self._limit_bytes))
        if stored is None or stored[0].generation != about.generation:
            raise GenerationConflictError(f"{about.name} was replaced while it was read")
        return await asyncio.to_thread(summary_of_archive, stored[1], packed_limit(self._limit_bytes))


def _users(slot: SaveSlot) -> str:
    return user_prefix(slot.user_id)
