"""Saves between the bucket and a machine. The worker moves the bytes: no machine ever holds a credential for them.

A slot has two parts, each restored, uploaded and kept in versions on its own: what games save themselves, always first,
and the emulator's states. A part in the bucket is `<prefix>/current.tar.gz` (`states.tar.gz`); what was ever written to
it also lies under `<prefix>/versions/` (`state-versions/`), thinned out by age. A note on the machine says which
generation its folder was restored from, so that

- a slot that another machine wrote meanwhile is never overwritten: ours is kept as a version and reported;
- progress on the machine that is not in the bucket yet is never replaced unseen;
- a folder whose restore did not finish is never uploaded, and an empty one wipes nothing;
- a slot that its player renamed or deleted is not brought back by a machine that still has its files;
- a save that holds nothing all of a sudden is kept as a version and reported: it does not become current.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.storage.bucket import ABSENT, Bucket, GenerationConflictError, StoredObject
from streaming.saves.archive import Files, Manifest, digest, is_blank, pack, packed_limit, unpack
from streaming.saves.folder import SaveFolder
from streaming.saves.locations import SaveKind, kind_of
from streaming.saves.parts import (
    ARCHIVE_TYPE,
    NO_MACHINE,
    PARTS,
    REMOVED,
    SUFFIX,
    WRITER,
    MachineLabel,
    SavePart,
    VersionReason,
    beside_name,
    described,
    settled_name,
)
from streaming.saves.restore_marker import RestoreMarker, read_note, write_note
from streaming.saves.slots import SaveSlot
from streaming.saves.survey import LeftOut
from streaming.saves.versions import superfluous, version_name
from streaming.ssh import Shell

log = logging.getLogger(__name__)

_TRIES: Final = 3


class UploadOutcome(StrEnum):
    UPLOADED = "UPLOADED"
    UNCHANGED = "UNCHANGED"  # the bucket has just this
    EMPTY = "EMPTY"  # nothing was ever saved on the machine; the slot is left as it is
    VANISHED = "VANISHED"  # there were files, and the folder is empty; the slot is left as it is
    CONFLICT = "CONFLICT"  # another machine wrote the slot meanwhile; ours is kept as a version
    SHRUNK = "SHRUNK"  # a save that held something holds nothing; the slot is left as it is, ours is kept as a version
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
_WORST_FIRST: Final = (
    *(UploadOutcome.NOT_RESTORED, UploadOutcome.VANISHED, UploadOutcome.CONFLICT, UploadOutcome.SHRUNK),
    *(UploadOutcome.UPLOADED, UploadOutcome.UNCHANGED, UploadOutcome.EMPTY),
)


@dataclass(frozen=True, slots=True)
class _Current:
    """A part of a slot as the bucket has it now. `writer` is the machine's folder that it comes from."""

    generation: int
    files: Files
    manifest: Manifest | None
    writer: str | None
    written_at: datetime


_STATE_VERSIONS: Final = 3


class Saves:
    """Every call may raise a ProviderError and may be repeated, after an end in the middle too."""

    def __init__(self, bucket: Bucket, *, limit_bytes: int = 256 * 2**20, versions_kept: int = 20) -> None:
        self._bucket = bucket
        self._limit_bytes = limit_bytes
        self._versions_kept = versions_kept
        self._machine = NO_MACHINE

    def of(self, machine: MachineLabel) -> Saves:
        """Return the same, which names this machine beside everything that it writes into the bucket."""
        named = copy(self)
        named._machine = machine
        return named

    async def restore(self, shell: Shell, slot: SaveSlot) -> int:
        """Put the slot's files on the machine and say how many there are; a slot that does not exist has none.

        Files that are there already, and perhaps newer than the bucket's, are looked after first.
        """
        folder = SaveFolder(shell, slot.home, self._limit_bytes)
        await folder.prepare()
        notes = [(part, await read_note(shell, slot, part.kind)) for part in PARTS]
        return sum([await self._restore(folder, slot, part, note) for part, note in notes])

    async def upload(self, shell: Shell, slot: SaveSlot) -> UploadReport:
        """Bring the machine's files into the bucket, checked by count, size and checksum on the way."""
        folder = SaveFolder(shell, slot.home, self._limit_bytes)
        reports = []
        for part in PARTS:
            note = await read_note(shell, slot, part.kind)
            if note is None or not note.finished or note.prefix != slot.prefix:
                return UploadReport(UploadOutcome.NOT_RESTORED)
            reports.append(await self._upload(folder, note, part))
        return _together(*reports)

    async def _restore(self, folder: SaveFolder, slot: SaveSlot, part: SavePart, note: RestoreMarker | None) -> int:
        if note is not None and note.finished and note.prefix != slot.prefix:
            _refuse_loss((await self._upload(folder, note, part)).left_out)
        current = await self._current(slot.prefix, part)
        if note is None:
            return await self._adopt_or_replace(folder, slot, current, part)
        if note.finished and note.prefix == slot.prefix:
            if _is_ours(current, note) if current is not None else not await self._is_removed(note):
                await write_note(folder.shell, replace(note, began_with=_version_of(current)), part.kind)
                return len((await folder.look(part.kind)).files)
            await self._keep_what_changed(folder, note, part)
        return await self._replace(folder, slot, current, part)

    async def _upload(self, folder: SaveFolder, note: RestoreMarker, part: SavePart) -> UploadReport:
        taken = await folder.take(part.kind)
        report = await self._upload_files(folder.shell, note, taken.files, part)
        return replace(report, left_out=taken.left_out)

    async def _upload_files(self, shell: Shell, note: RestoreMarker, files: Files, part: SavePart) -> UploadReport:
        size = sum(len(file.content) for file in files.values())
        if not files:
            vouched_for = note.digest != digest({})
            return UploadReport(UploadOutcome.VANISHED if vouched_for else UploadOutcome.EMPTY)
        if digest(files) == note.digest:
            return UploadReport(UploadOutcome.UNCHANGED, len(files), size, part.current(note.prefix))
        written = await self._write_current(note, files, part)
        if isinstance(written, UploadOutcome):
            name = await self._keep_beside(note, files, part, VersionReason(written))
            return UploadReport(written, len(files), size, name)
        await write_note(shell, replace(note, generation=written.generation, digest=digest(files)), part.kind)
        await self._forget_old_versions(note, part)
        return UploadReport(UploadOutcome.UPLOADED, len(files), size, written.name)

    async def _write_current(self, note: RestoreMarker, files: Files, part: SavePart) -> StoredObject | UploadOutcome:
        """Write the part over the generation that this machine knows; else why its files must not become current."""
        for _ in range(_TRIES):
            current = await self._current(note.prefix, part)
            if current is not None and not _is_ours(current, note) and digest(current.files) != digest(files):
                return UploadOutcome.CONFLICT
            if current is not None and part.kind is SaveKind.GAME and _holds_less(files, current.files):
                return UploadOutcome.SHRUNK
            base = ABSENT if current is None else current.generation
            await self._keep_unversioned(note, current, part)
            version = version_name(datetime.now(UTC))
            packed = await asyncio.to_thread(pack, files, Manifest(note.writer, note.generation, version))
            words = described(len(files), note.writer, self._machine)
            await self._write(part.version(note.prefix, version), packed, words)
            try:
                return await self._write(part.current(note.prefix), packed, words, if_generation=base)
            except GenerationConflictError:
                # Either somebody was faster, or it was our own write whose answer got lost: look again.
                continue
        raise ProviderBusyError("a save was written by others at every attempt")

    async def _keep_unversioned(self, note: RestoreMarker, current: _Current | None, part: SavePart) -> None:
        """Keep what others packed before it is overwritten the first time: it has no version of its own."""
        if current is not None and current.generation != ABSENT and current.manifest is None:
            packed = await asyncio.to_thread(pack, current.files)
            name = beside_name(VersionReason.IMPORTED, note.writer, digest(current.files))
            words = described(len(current.files), None, NO_MACHINE, current.written_at)
            await self._write(part.version(note.prefix, name), packed, words)

    async def _adopt_or_replace(
        self, folder: SaveFolder, slot: SaveSlot, current: _Current | None, part: SavePart
    ) -> int:
        """Files without a note: nobody knows where they come from, so they are the slot's, or kept beside it."""
        taken = await folder.take(part.kind)
        note = _note(slot, None)
        if taken.files and current is None:
            await write_note(folder.shell, note, part.kind)
            return len(taken.files)
        _refuse_loss(taken.left_out)
        if taken.files and current is not None and digest(taken.files) != digest(current.files):
            await self._keep_beside(note, taken.files, part)
        return await self._replace(folder, slot, current, part)

    async def _keep_what_changed(self, folder: SaveFolder, note: RestoreMarker, part: SavePart) -> None:
        taken = await folder.take(part.kind)
        _refuse_loss(taken.left_out)
        if taken.files and digest(taken.files) != note.digest:
            name = await self._keep_beside(note, taken.files, part)
            log.warning("progress that the slot does not have is kept as a version", extra={"object": name})

    async def _keep_beside(
        self, note: RestoreMarker, files: Files, part: SavePart, why: VersionReason = VersionReason.CONFLICT
    ) -> str:
        """Keep one version for each machine and content, however often this is called. What the player has decided
        about before is not brought up again."""
        name = beside_name(why, note.writer, digest(files))
        settled = part.version(note.prefix, settled_name(name))
        if await self._bucket.stat(settled) is not None:
            return settled
        packed = await asyncio.to_thread(pack, files, Manifest(note.writer, note.generation))
        words = described(len(files), note.writer, self._machine)
        return (await self._write(part.version(note.prefix, name), packed, words)).name

    async def _write(
        self, name: str, packed: bytes, words: Mapping[str, str], if_generation: int | None = None
    ) -> StoredObject:
        return await self._bucket.write(
            name, packed, content_type=ARCHIVE_TYPE, if_generation=if_generation, metadata=words
        )

    async def _is_removed(self, note: RestoreMarker) -> bool:
        """Return whether a player renamed or deleted the slot that this machine restored. A slot that is only missing
        is not removed: then the machine's files may be the last ones."""
        return note.generation != ABSENT and await self._bucket.stat(f"{note.prefix}/{REMOVED}") is not None

    async def _replace(self, folder: SaveFolder, slot: SaveSlot, current: _Current | None, part: SavePart) -> int:
        files = {} if current is None else current.files
        note = _note(slot, current)
        await write_note(folder.shell, replace(note, finished=False), part.kind)
        await folder.put(files, part.kind)
        await write_note(folder.shell, note, part.kind)
        return len(files)

    async def _current(self, prefix: str, part: SavePart) -> _Current | None:
        found = await self._unpacked(part.current(prefix))
        if found is None and part.older is not None:
            older = await self._unpacked(f"{prefix}/{part.older}{SUFFIX}")
            found = None if older is None else replace(older, generation=ABSENT)
        if found is None:
            return None
        files = {path: file for path, file in found.files.items() if _is_part(path, part)}
        is_elsewhere = found.generation == ABSENT and not files
        return None if is_elsewhere else replace(found, files=files)

    async def _unpacked(self, name: str) -> _Current | None:
        stored = await self._bucket.read(name, packed_limit(self._limit_bytes))
        if stored is None:
            return None
        about, packed = stored
        files, manifest = await asyncio.to_thread(unpack, packed, self._limit_bytes)
        writer = about.metadata.get(WRITER) or (None if manifest is None else manifest.written_by)
        return _Current(about.generation, files, manifest, writer, about.created_at)

    async def _forget_old_versions(self, note: RestoreMarker, part: SavePart) -> None:
        folder = f"{note.prefix}/{part.versions}/"
        try:
            stored = await self._bucket.list(f"{folder}2")  # those named by their time, oldest first
            names = [version.name.removeprefix(folder).removesuffix(SUFFIX) for version in stored]
            for name in self._superfluous(names, note, part):
                await self._bucket.remove(part.version(note.prefix, name))
        except ProviderError as error:
            log.warning("old versions of a save could not be removed", extra={"error": error.message})

    def _superfluous(self, names: Sequence[str], note: RestoreMarker, part: SavePart) -> Sequence[str]:
        if part.kind is SaveKind.STATE:
            return names[:-_STATE_VERSIONS]
        began_with = () if note.began_with is None else (note.began_with,)
        return superfluous(names, datetime.now(UTC), last=self._versions_kept, began_with=began_with)


def _together(game: UploadReport, states: UploadReport) -> UploadReport:
    """Combine the parts' reports. A player who deletes the last state has not lost a save."""
    if states.outcome is UploadOutcome.VANISHED and game.files:
        states = replace(states, outcome=UploadOutcome.EMPTY)
    outcome = min(game.outcome, states.outcome, key=_WORST_FIRST.index)
    first = game if game.outcome is outcome else states
    return UploadReport(
        outcome,
        game.files + states.files,
        game.size_bytes + states.size_bytes,
        first.stored_as,
        (*game.left_out, *states.left_out),
    )


def _is_part(path: str, part: SavePart) -> bool:
    """What is no save by today's rules was taken by earlier releases, and stays with what games save."""
    return (kind_of(path) or SaveKind.GAME) is part.kind


def _holds_less(files: Files, current: Files) -> bool:
    """Whether a save that holds something in the slot holds nothing any more."""
    return any(is_blank(file) and path in current and not is_blank(current[path]) for path, file in files.items())


def _version_of(current: _Current | None) -> str | None:
    return None if current is None or current.manifest is None else current.manifest.version


def _refuse_loss(left_out: Sequence[LeftOut]) -> None:
    """Raise when a restore would replace something that no upload took."""
    if left_out:
        raise ProviderRefusedError(f"the saves there cannot be replaced, because not all can be kept: {left_out[0]}")


def _note(slot: SaveSlot, current: _Current | None) -> RestoreMarker:
    return RestoreMarker(
        home=slot.home,
        prefix=slot.prefix,
        generation=ABSENT if current is None else current.generation,
        digest=digest({} if current is None else current.files),
        writer=secrets.token_hex(8),
        began_with=_version_of(current),
    )


def _is_ours(current: _Current, note: RestoreMarker) -> bool:
    """Whether the slot is what this machine restored, or wrote itself: then nobody else has been there."""
    return current.generation == note.generation or current.writer == note.writer
