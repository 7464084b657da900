"""What players do with their saves: restore a version, choose in a conflict, rename, delete and undelete a slot.

Nothing is read or packed here: the bucket copies its own objects. Each write names the generation that it replaces, and
each removal the one that it removes, so that a machine which writes at the same moment is never overwritten: the change
is then refused and undone. Everything may be repeated; what was interrupted goes on where it ended.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

import orjson

from errors import InvalidInputError, InvalidStateError, NotFoundError
from providers.storage.bucket import ABSENT, Bucket, GenerationConflictError, StoredObject
from streaming.saves.catalog import SaveCatalog
from streaming.saves.contents import CURRENT, SlotContents, StoredVersion, prefix_of
from streaming.saves.locations import SaveKind
from streaming.saves.parts import (
    ARCHIVE_TYPE,
    REMOVED,
    SAVED_AT,
    WRITER,
    settled_name,
)
from streaming.saves.slots import SaveSlot
from streaming.saves.versions import version_name

T = TypeVar("T")
log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
CHANGED: Final = "CHANGED"  # the status of a refusal: the slot was written at the same moment
_DAMAGED: Final = "DAMAGED"
_EXISTS: Final = "EXISTS"
_NO_CONFLICT: Final = "NO_CONFLICT"


@dataclass(frozen=True, slots=True)
class _Copy:
    """The copy of an object. `written`: there was no such object before."""

    stored: StoredObject
    written: bool


class SaveChanges:
    """Changes slots. Every call may raise a ProviderError, and may then be repeated."""

    def __init__(self, bucket: Bucket, catalog: SaveCatalog) -> None:
        self._bucket = bucket
        self._catalog = catalog

    async def restore(self, contents: SlotContents, version: StoredVersion) -> SlotContents:
        """Make a version current again. The current content remains among the versions."""
        if not version.same_as_current:
            await self._make_current(contents, version, _new_writer())
        return await self._catalog.slot(contents.slot)

    async def keep(self, contents: SlotContents, version: StoredVersion) -> SlotContents:
        """Settle a conflict for this version: it becomes current, and the others stay as versions.

        With a version of what games save, the states of the same machine's folder are chosen too. The machine whose
        newest version is chosen goes on with it; an older one replaces its files at the next launch. Raises
        InvalidStateError when there is nothing to choose.
        """
        is_open = any(contents.open_versions(kind) for kind in SaveKind)
        if not (is_open or version.same_as_current):
            raise InvalidStateError("there is no conflict in this save: restore a version instead", _NO_CONFLICT)
        kinds = [version.part.kind] if version.part.kind is SaveKind.STATE else list(SaveKind)
        for kind in kinds:
            chosen = version if kind is version.part.kind else _states_beside(contents, version)
            if chosen is not None and not chosen.same_as_current:
                writer = chosen.writer if contents.is_newest_open(chosen) else None
                await self._make_current(contents, chosen, writer or _new_writer())
            await self._settle(contents.open_versions(kind))
        return await self._catalog.slot(contents.slot)

    async def rename(self, contents: SlotContents, target: SaveSlot) -> SlotContents:
        """Rename a slot. Raises InvalidInputError if a save with that name exists."""
        taken = await self._catalog.slot(target)
        if not _is_unfinished(contents, taken):
            raise InvalidInputError(f"there is a save named {target.save_id} already: choose another name", ("saveId",))
        await self._move(contents, target.prefix)
        await self._bucket.remove(f"{target.prefix}/{REMOVED}")
        return await self._catalog.slot(target)

    async def delete(self, contents: SlotContents) -> SlotContents:
        """Delete a slot so that it can be restored later. An interrupted deletion is completed."""
        deletion = version_name(datetime.now(UTC))
        if not contents.currents:
            earlier = await self._catalog.deletions(contents.slot)
            deletion = next((one.deletion for one in earlier if one.deletion and _is_rest_of(contents, one)), deletion)
        await self._move(contents, prefix_of(contents.slot, deletion))
        return await self._catalog.slot(contents.slot, deletion)

    async def undelete(self, deleted: SlotContents) -> SlotContents:
        """Restore a deleted slot. Raises InvalidStateError if a slot with its name exists now."""
        there = await self._catalog.slot(deleted.slot)
        if not _is_unfinished(deleted, there):
            raise InvalidStateError(
                "there is a save of that name by now: rename or delete it first", _EXISTS, ("slotId",)
            )
        await self._move(deleted, deleted.slot.prefix)
        await self._bucket.remove(f"{deleted.slot.prefix}/{REMOVED}")
        return await self._catalog.slot(deleted.slot)

    async def _make_current(self, contents: SlotContents, version: StoredVersion, writer: str) -> None:
        if (await self._catalog.summary(version)).damaged:
            raise InvalidStateError("this version is damaged and cannot be restored", _DAMAGED, ("versionId",))
        current = contents.current(version.part.kind)
        if current is not None and not any(one.same_as_current for one in _of_kind(contents, version.part.kind)):
            name = version.part.version(contents.prefix, version_name(current.stored.created_at))
            await self._copy_once(current.stored, name)
        words = {**version.stored.metadata, SAVED_AT: version.at.isoformat(), WRITER: writer}
        try:
            await self._bucket.copy(
                version.stored,
                version.part.current(contents.prefix),
                if_generation=ABSENT if current is None else current.stored.generation,
                content_type=ARCHIVE_TYPE,
                metadata=words,
            )
        except GenerationConflictError:
            raise _changed_error() from None

    async def _settle(self, versions: Sequence[StoredVersion]) -> None:
        async def settle(version: StoredVersion) -> None:
            await self._copy_to_settled(version)
            await self._bucket.remove(version.stored.name, if_generation=version.stored.generation)

        await _each(versions, settle)

    async def _copy_to_settled(self, version: StoredVersion) -> None:
        """Copy a version to its settled name, or to one of its own if another version has that name."""
        name, generation = settled_name(version.name), version.stored.generation
        prefix = prefix_of(version.slot)
        try:
            await self._copy_once(version.stored, version.part.version(prefix, name))
        except GenerationConflictError:
            try:
                await self._copy_once(version.stored, version.part.version(prefix, f"{name}-{generation}"))
            except GenerationConflictError:
                raise _changed_error() from None

    async def _move(self, contents: SlotContents, target: str) -> None:
        """Move a slot's objects: copy them, then remove the current ones first.

        If a machine writes or another change moves the slot at the same time, the move stops and is undone.
        """
        copies: dict[StoredObject, _Copy] = {}
        currents = [one.stored for one in contents.currents]
        removed: list[StoredObject] = []

        async def copy(one: StoredObject) -> None:
            copies[one] = await self._copy_or_take_over(one, target + one.name.removeprefix(contents.prefix))

        try:
            await _each(contents.objects, copy)
            for one in currents:
                if not await self._bucket.remove(one.name, if_generation=one.generation):
                    raise GenerationConflictError(f"{one.name} no longer exists")
                removed.append(one)
        except GenerationConflictError:
            await self._undo_move(contents, copies, removed)
            raise _changed_error() from None
        if contents.deletion is None:
            about = orjson.dumps({"at": datetime.now(UTC).isoformat()})
            await self._bucket.write(f"{contents.prefix}/{REMOVED}", about, content_type="application/json")
        await _each([one for one in contents.objects if one not in currents], self._remove)

    async def _undo_move(
        self, contents: SlotContents, copies: Mapping[StoredObject, _Copy], removed: Sequence[StoredObject]
    ) -> None:
        """Copy removed objects back, then remove this move's own copies whose content is still in the slot.

        If an object of the slot is gone, another change or the purge removes them now: every copy is kept.
        """
        for one in removed:
            try:
                await self._copy_once(copies[one].stored, one.name)
            except GenerationConflictError:
                log.warning("a save was written while its move was undone", extra={"object": one.name})
        there = {one.name: one for one in await self._bucket.list(f"{contents.prefix}/")}
        if any(one.name not in there for one in contents.objects):
            log.warning("keeping the copies of a save whose originals are gone", extra={"folder": contents.prefix})
            return
        generations = {(one.name, one.generation) for one in there.values()}
        contents_there = {one.md5 for one in there.values() if one.md5 is not None}
        written = {source: copy.stored for source, copy in copies.items() if copy.written}
        await _each(
            [
                copy
                for source, copy in written.items()
                if (source.name, source.generation) in generations or source.md5 in contents_there
            ],
            self._remove,
        )

    async def _copy_once(self, source: StoredObject, name: str) -> None:
        """Copy to a free name. An existing object with the same content counts as the copy."""
        try:
            await self._bucket.copy(source, name)
        except GenerationConflictError:
            if not _is_same(await self._bucket.stat(name), source):
                raise

    async def _copy_or_take_over(self, source: StoredObject, name: str) -> _Copy:
        """Copy to a free name, or over an object with the same content.

        The copy has a new generation in both cases, so that an undo by the change that wrote the object leaves it.
        """
        try:
            return _Copy(await self._bucket.copy(source, name), written=True)
        except GenerationConflictError:
            there = await self._bucket.stat(name)
            if there is None or not _is_same(there, source):
                raise
            return _Copy(await self._bucket.copy(source, name, if_generation=there.generation), written=False)

    async def _remove(self, one: StoredObject) -> None:
        """Remove copies, except those that were overwritten in between."""
        try:
            await self._bucket.remove(one.name, if_generation=one.generation)
        except GenerationConflictError:
            log.warning("an object of a save was written while the slot was moved", extra={"object": one.name})


def version_in(contents: SlotContents, kind: SaveKind, name: str) -> StoredVersion:
    """Return a version by its name, including one with a settled conflict. Raises NotFoundError."""
    found = contents.version(kind, name)
    if found is None and name != CURRENT:
        found = contents.version(kind, settled_name(name))
    if found is None:
        raise NotFoundError("there is no such version of a save", ("versionId",))
    return found


def _states_beside(contents: SlotContents, version: StoredVersion) -> StoredVersion | None:
    """Return the states that belong to the chosen version: the newest open ones of the same folder."""
    if version.writer is None:
        return None
    opened = contents.open_versions(SaveKind.STATE)
    return next((one for one in opened if one.writer == version.writer), None)


def _of_kind(contents: SlotContents, kind: SaveKind) -> list[StoredVersion]:
    return [one for one in contents.versions if one.part.kind is kind]


def _is_unfinished(source: SlotContents, target: SlotContents) -> bool:
    """Return whether the target is free, or has only objects of an interrupted move of the source."""
    if any(one.md5 is None for one in (*source.objects, *target.objects)):
        return target.is_empty
    sources, targets = _contents_by_name(source), _contents_by_name(target)
    if source.currents:
        return targets.items() <= sources.items()
    return not targets or sources.items() <= targets.items()


def _is_rest_of(rest: SlotContents, moved: SlotContents) -> bool:
    """Return whether a slot without currents is the rest of an interrupted move to where all its objects are."""
    if any(one.md5 is None for one in (*rest.objects, *moved.objects)):
        return False
    return bool(moved.currents) and _contents_by_name(rest).items() <= _contents_by_name(moved).items()


def _contents_by_name(contents: SlotContents) -> dict[str, str | None]:
    return {one.name.removeprefix(contents.prefix): one.md5 for one in contents.objects}


def _is_same(one: StoredObject | None, other: StoredObject) -> bool:
    return one is not None and one.md5 is not None and one.md5 == other.md5


def _new_writer() -> str:
    """Return a writer that no machine's folder has.

    The folder that wrote the version long ago must not mistake it for its present files.
    """
    return f"restored-{secrets.token_hex(8)}"


def _changed_error() -> InvalidStateError:
    return InvalidStateError("the save was written or moved at the same moment: look at it again", CHANGED)


async def _each(items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Run the work for all items, a few at once. Running items end before the first error is raised."""
    for start in range(0, len(items), _AT_ONCE):
        ended = await asyncio.gather(*map(work, items[start : start + _AT_ONCE]), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error
