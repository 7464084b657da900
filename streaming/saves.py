"""Saves between the bucket and a machine. The worker moves the bytes: no machine ever holds a credential for them.

A slot in the bucket is `<prefix>/current.tar.gz`; what was ever written to it also lies under `<prefix>/versions/`, of
which the newest are kept. A note on the machine says which generation its folder was restored from, so that

- a slot that another machine wrote meanwhile is never overwritten: ours is kept as a version and reported;
- progress on the machine that is not in the bucket yet is never replaced unseen;
- a folder whose restore did not finish is never uploaded, and an empty one wipes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.storage.bucket import ABSENT, Bucket, GenerationConflictError, StoredObject
from streaming.archives import Files, Manifest, digest, pack, unpack
from streaming.folders import SaveFolder
from streaming.notes import Note, read_note, write_note
from streaming.slots import SaveSlot
from streaming.ssh import Shell
from streaming.survey import LeftOut

log = logging.getLogger(__name__)

_ARCHIVE: Final = "application/gzip"
_TRIES: Final = 3


class UploadOutcome(StrEnum):
    UPLOADED = "UPLOADED"
    UNCHANGED = "UNCHANGED"  # the bucket has just this
    EMPTY = "EMPTY"  # nothing was ever saved on the machine; the slot is left as it is
    VANISHED = "VANISHED"  # there were files, and the folder is empty; the slot is left as it is
    CONFLICT = "CONFLICT"  # another machine wrote the slot meanwhile; ours is kept as a version
    NOT_RESTORED = "NOT_RESTORED"  # the slot is not on this machine; nothing was uploaded


@dataclass(frozen=True, slots=True)
class UploadReport:
    """What came of an upload. `stored_as` is the object that now holds this machine's files, where there is one;
    `left_out` is what is on the machine alone, although all else arrived."""

    outcome: UploadOutcome
    files: int = 0
    size_bytes: int = 0
    stored_as: str | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def is_safe(self) -> bool:
        """Whether the machine may go without a loss."""
        return self.outcome not in _UNSAFE and not self.left_out


_UNSAFE: Final = (UploadOutcome.NOT_RESTORED, UploadOutcome.VANISHED)


@dataclass(frozen=True, slots=True)
class _Current:
    """A slot as the bucket has it now."""

    generation: int
    files: Files
    manifest: Manifest | None


class Saves:
    """Every call may raise a ProviderError and may be repeated, after an end in the middle too."""

    def __init__(self, bucket: Bucket, *, limit_bytes: int = 256 * 2**20, versions_kept: int = 20) -> None:
        self._bucket = bucket
        self._limit_bytes = limit_bytes
        self._versions_kept = versions_kept

    async def restore(self, shell: Shell, slot: SaveSlot) -> int:
        """Put the slot's files on the machine and say how many there are; a slot that does not exist has none.

        Files that are there already, and perhaps newer than the bucket's, are looked after first.
        """
        folder = SaveFolder(shell, slot.home, self._limit_bytes)
        await folder.prepare()
        note = await read_note(shell, slot)
        if note is not None and note.finished and note.prefix != slot.prefix:
            _refuse_loss((await self._upload(folder, note)).left_out)
        current = await self._current(slot.prefix)
        if note is None:
            return await self._adopt_or_replace(folder, slot, current)
        if note.finished and note.prefix == slot.prefix:
            if current is None or _is_ours(current, note):
                return len((await folder.look()).files)
            await self._keep_what_changed(folder, note)
        return await self._replace(folder, slot, current)

    async def upload(self, shell: Shell, slot: SaveSlot) -> UploadReport:
        """Bring the machine's files into the bucket, checked by count, size and checksum on the way."""
        note = await read_note(shell, slot)
        if note is None or not note.finished or note.prefix != slot.prefix:
            return UploadReport(UploadOutcome.NOT_RESTORED)
        return await self._upload(SaveFolder(shell, slot.home, self._limit_bytes), note)

    async def _upload(self, folder: SaveFolder, note: Note) -> UploadReport:
        taken = await folder.take()
        report = await self._upload_files(folder.shell, note, taken.files)
        return replace(report, left_out=taken.left_out)

    async def _upload_files(self, shell: Shell, note: Note, files: Files) -> UploadReport:
        size = sum(len(file.content) for file in files.values())
        if not files:
            vouched_for = note.digest != digest({})
            return UploadReport(UploadOutcome.VANISHED if vouched_for else UploadOutcome.EMPTY)
        if digest(files) == note.digest:
            return UploadReport(UploadOutcome.UNCHANGED, len(files), size, f"{note.prefix}/current.tar.gz")
        stored = await self._write_current(note, files)
        if stored is None:
            name = await self._keep_beside(note, files)
            return UploadReport(UploadOutcome.CONFLICT, len(files), size, name)
        await write_note(shell, replace(note, generation=stored.generation, digest=digest(files)))
        await self._forget_old_versions(note.prefix)
        return UploadReport(UploadOutcome.UPLOADED, len(files), size, stored.name)

    async def _write_current(self, note: Note, files: Files) -> StoredObject | None:
        """Write the slot over the generation that this machine knows; None when somebody else's is there."""
        for _ in range(_TRIES):
            current = await self._current(note.prefix)
            if current is not None and not _is_ours(current, note) and digest(current.files) != digest(files):
                return None
            base = ABSENT if current is None else current.generation
            packed = await asyncio.to_thread(pack, files, Manifest(note.writer, note.generation))
            version = f"{note.prefix}/versions/{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.tar.gz"
            await self._bucket.write(version, packed, content_type=_ARCHIVE)
            try:
                return await self._bucket.write(
                    f"{note.prefix}/current.tar.gz", packed, content_type=_ARCHIVE, if_generation=base
                )
            except GenerationConflictError:
                # Either somebody was faster, or it was our own write whose answer got lost: look again.
                continue
        raise ProviderBusyError("a save was written by others at every attempt")

    async def _adopt_or_replace(self, folder: SaveFolder, slot: SaveSlot, current: _Current | None) -> int:
        """Files without a note: nobody knows where they come from, so they are the slot's, or kept beside it."""
        taken = await folder.take()
        note = _note(slot, None)
        if taken.files and current is None:
            await write_note(folder.shell, note)
            return len(taken.files)
        _refuse_loss(taken.left_out)
        if taken.files and current is not None and digest(taken.files) != digest(current.files):
            await self._keep_beside(note, taken.files)
        return await self._replace(folder, slot, current)

    async def _keep_what_changed(self, folder: SaveFolder, note: Note) -> None:
        taken = await folder.take()
        _refuse_loss(taken.left_out)
        if taken.files and digest(taken.files) != note.digest:
            name = await self._keep_beside(note, taken.files)
            log.warning("progress that the slot does not have is kept as a version", extra={"object": name})

    async def _keep_beside(self, note: Note, files: Files) -> str:
        """One version for each machine and content, however often it is kept."""
        name = f"{note.prefix}/versions/conflict-{note.writer}-{digest(files)[:12]}.tar.gz"
        packed = await asyncio.to_thread(pack, files, Manifest(note.writer, note.generation))
        await self._bucket.write(name, packed, content_type=_ARCHIVE)
        return name

    async def _replace(self, folder: SaveFolder, slot: SaveSlot, current: _Current | None) -> int:
        files = {} if current is None else current.files
        note = _note(slot, current)
        await write_note(folder.shell, replace(note, finished=False))
        await folder.put(files)
        await write_note(folder.shell, note)
        return len(files)

    async def _current(self, prefix: str) -> _Current | None:
        stored = await self._bucket.read(f"{prefix}/current.tar.gz", self._limit_bytes)
        if stored is None:
            return None
        about, packed = stored
        files, manifest = await asyncio.to_thread(unpack, packed, self._limit_bytes)
        return _Current(about.generation, files, manifest)

    async def _forget_old_versions(self, prefix: str) -> None:
        try:
            versions = await self._bucket.list(f"{prefix}/versions/2")  # those named by their time, oldest first
            for version in versions[: -self._versions_kept]:
                await self._bucket.remove(version.name)
        except ProviderError as error:
            log.warning("old versions of a save could not be removed", extra={"error": error.message})


def _refuse_loss(left_out: Sequence[LeftOut]) -> None:
    """Raise when a restore would replace something that no upload took."""
    if left_out:
        raise ProviderRefusedError(f"the saves there cannot be replaced, because not all can be kept: {left_out[0]}")


def _note(slot: SaveSlot, current: _Current | None) -> Note:
    return Note(
        home=slot.home,
        prefix=slot.prefix,
        generation=ABSENT if current is None else current.generation,
        digest=digest({} if current is None else current.files),
        writer=secrets.token_hex(8),
    )


def _is_ours(current: _Current, note: Note) -> bool:
    """Whether the slot is what this machine restored, or wrote itself: then nobody else has been there."""
    wrote = current.manifest is not None and current.manifest.written_by == note.writer
    return current.generation == note.generation or wrote
