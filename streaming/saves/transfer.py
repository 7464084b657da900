"""Moves saves between the bucket and a machine. The worker moves the bytes: machines hold no credentials for them.

A slot has two parts, each restored, uploaded and versioned separately: the games' own saves, always first, and the
emulator's states. A part in the bucket is `<prefix>/current.tar.gz` (`states.tar.gz`); everything ever written to it is
also below `<prefix>/versions/` (`state-versions/`), thinned out by age. A restore marker on the machine records which
generation its folder was restored from, so that

- a slot that another machine has written is never overwritten: ours is kept as a version and reported;
- progress on the machine that is not in the bucket yet is never replaced unseen;
- a folder with an unfinished restore is never uploaded, and an empty one deletes nothing;
- a slot that its player renamed or deleted is not restored by a machine that still has its files;
- a save that suddenly becomes empty is kept as a version and reported, but does not become current.
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
    archive_metadata,
    beside_name,
    settled_name,
)
from streaming.saves.restore_marker import RestoreMarker, read_marker, write_marker
from streaming.saves.slots import SaveSlot
from streaming.saves.survey import LeftOut
from streaming.saves.versions import select_superfluous, version_name
from streaming.ssh import Shell

log = logging.getLogger(__name__)

_TRIES: Final = 3


class UploadOutcome(StrEnum):
    UPLOADED = "UPLOADED"
    UNCHANGED = "UNCHANGED"  # the bucket already has the same content
    EMPTY = "EMPTY"  # nothing was ever saved on the machine; the slot is unchanged
    VANISHED = "VANISHED"  # there were files, but the folder is empty now; the slot is unchanged
    CONFLICT = "CONFLICT"  # another machine wrote the slot in between; ours is kept as a version
    SHRUNK = "SHRUNK"  # a save became empty; the slot is unchanged, and ours is kept as a version
    NOT_RESTORED = "NOT_RESTORED"  # the slot is not on this machine; nothing was uploaded


@dataclass(frozen=True, slots=True)
class UploadReport:
    """Result of an upload.

    `stored_as` is the object that now has this machine's files, if any; `left_out` are files that exist on the machine
    alone, although all others were uploaded.
    """

    outcome: UploadOutcome
    files: int = 0
    size_bytes: int = 0
    stored_as: str | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def is_safe(self) -> bool:
        """Return whether the machine can be deleted without losing saves."""
        return self.outcome not in _UNSAFE and not self.left_out


_UNSAFE: Final = (UploadOutcome.NOT_RESTORED, UploadOutcome.VANISHED)
_WORST_FIRST: Final = (
    *(UploadOutcome.NOT_RESTORED, UploadOutcome.VANISHED, UploadOutcome.CONFLICT, UploadOutcome.SHRUNK),
    *(UploadOutcome.UPLOADED, UploadOutcome.UNCHANGED, UploadOutcome.EMPTY),
)


@dataclass(frozen=True, slots=True)
class _Current:
    """A part of a slot in the bucket. `writer` is the machine's folder that it comes from."""

    generation: int
    files: Files
    manifest: Manifest | None
    writer: str | None
    written_at: datetime


_STATE_VERSIONS: Final = 3


class Saves:
    """Restores and uploads saves.

    Every call may raise a ProviderError and may be repeated, also after an interruption.
    """

    def __init__(self, bucket: Bucket, *, limit_bytes: int = 256 * 2**20, versions_kept: int = 20) -> None:
        self._bucket = bucket
        self._limit_bytes = limit_bytes
        self._versions_kept = versions_kept
        self._machine = NO_MACHINE

    def for_machine(self, machine: MachineLabel) -> Saves:
        """Return a copy that records this machine with everything that it writes into the bucket."""
        named = copy(self)
        named._machine = machine
        return named

    async def restore(self, shell: Shell, slot: SaveSlot) -> int:
        """Copy the slot's files to the machine and return their number; a new slot has none.

        Files on the machine that may be newer than the bucket's are secured first.
        """
        folder = SaveFolder(shell, slot.home, self._limit_bytes)
        await folder.prepare()
        markers = [(part, await read_marker(shell, slot, part.kind)) for part in PARTS]
        return sum([await self._restore(folder, slot, part, marker) for part, marker in markers])

    async def upload(self, shell: Shell, slot: SaveSlot) -> UploadReport:
        """Upload the machine's files to the bucket, verified by number, size and checksum."""
        reports = []
        for part in PARTS:
            reports.append(await self.upload_part(shell, slot, part))
            if reports[-1].outcome is UploadOutcome.NOT_RESTORED:
                return reports[-1]
        return combine(*reports)

    async def upload_part(self, shell: Shell, slot: SaveSlot, part: SavePart) -> UploadReport:
        """Upload the files of one part, as `upload` does for all."""
        marker = await read_marker(shell, slot, part.kind)
        if marker is None or not marker.finished or marker.prefix != slot.prefix:
            return UploadReport(UploadOutcome.NOT_RESTORED)
        return await self._upload(SaveFolder(shell, slot.home, self._limit_bytes), marker, part)

    async def _restore(self, folder: SaveFolder, slot: SaveSlot, part: SavePart, marker: RestoreMarker | None) -> int:
        if marker is not None and marker.finished and marker.prefix != slot.prefix:
            _refuse_loss((await self._upload(folder, marker, part)).left_out)
        current = await self._current(slot.prefix, part)
        if marker is None:
            return await self._adopt_or_replace(folder, slot, current, part)
        if marker.finished and marker.prefix == slot.prefix:
            if _is_ours(current, marker) if current is not None else not await self._is_removed(marker):
                await write_marker(folder.shell, replace(marker, began_with=_version_of(current)), part.kind)
                return len((await folder.look(part.kind)).files)
            await self._keep_what_changed(folder, marker, part)
        return await self._replace(folder, slot, current, part)

    async def _upload(self, folder: SaveFolder, marker: RestoreMarker, part: SavePart) -> UploadReport:
        taken = await folder.read(part.kind)
        report = await self._upload_files(folder.shell, marker, taken.files, part)
        return replace(report, left_out=taken.left_out)

    async def _upload_files(self, shell: Shell, marker: RestoreMarker, files: Files, part: SavePart) -> UploadReport:
        size = sum(len(file.content) for file in files.values())
        if not files:
            vouched_for = marker.digest != digest({})
            return UploadReport(UploadOutcome.VANISHED if vouched_for else UploadOutcome.EMPTY)
        if digest(files) == marker.digest:
            return UploadReport(UploadOutcome.UNCHANGED, len(files), size, part.current(marker.prefix))
        written = await self._write_current(marker, files, part)
        if isinstance(written, UploadOutcome):
            name = await self._keep_beside(marker, files, part, VersionReason(written))
            return UploadReport(written, len(files), size, name)
        await write_marker(shell, replace(marker, generation=written.generation, digest=digest(files)), part.kind)
        await self._forget_old_versions(marker, part)
        return UploadReport(UploadOutcome.UPLOADED, len(files), size, written.name)

    async def _write_current(self, marker: RestoreMarker, files: Files, part: SavePart) -> StoredObject | UploadOutcome:
        """Write the part over the generation that this machine knows, or return why it must not become current."""
        for _ in range(_TRIES):
            current = await self._current(marker.prefix, part)
            if current is not None and not _is_ours(current, marker) and digest(current.files) != digest(files):
                return UploadOutcome.CONFLICT
            if current is not None and part.kind is SaveKind.GAME and _holds_less(files, current.files):
                return UploadOutcome.SHRUNK
            base = ABSENT if current is None else current.generation
            await self._keep_unversioned(marker, current, part)
            version = version_name(datetime.now(UTC))
            packed = await asyncio.to_thread(pack, files, Manifest(marker.writer, marker.generation, version))
            words = archive_metadata(len(files), marker.writer, self._machine)
            await self._write(part.version(marker.prefix, version), packed, words)
            try:
                return await self._write(part.current(marker.prefix), packed, words, if_generation=base)
            except GenerationConflictError:
                # Either another writer was faster, or the response to our own write was lost: read again.
                continue
        raise ProviderBusyError("a save was overwritten by other writers on every attempt")

    async def _keep_unversioned(self, marker: RestoreMarker, current: _Current | None, part: SavePart) -> None:
        """Keep an archive that others packed before its first overwrite, because it has no version."""
        if current is not None and current.generation != ABSENT and current.manifest is None:
            packed = await asyncio.to_thread(pack, current.files)
            name = beside_name(VersionReason.IMPORTED, marker.writer, digest(current.files))
            words = archive_metadata(len(current.files), None, NO_MACHINE, current.written_at)
            await self._write(part.version(marker.prefix, name), packed, words)

    async def _adopt_or_replace(
        self, folder: SaveFolder, slot: SaveSlot, current: _Current | None, part: SavePart
    ) -> int:
        """Handle files without a marker: they become the slot's, or are kept beside it.

        Their origin is unknown.
        """
        taken = await folder.read(part.kind)
        marker = _marker_for(slot, None)
        if taken.files and current is None:
            await write_marker(folder.shell, marker, part.kind)
            return len(taken.files)
        _refuse_loss(taken.left_out)
        if taken.files and current is not None and digest(taken.files) != digest(current.files):
            await self._keep_beside(marker, taken.files, part)
        return await self._replace(folder, slot, current, part)

    async def _keep_what_changed(self, folder: SaveFolder, marker: RestoreMarker, part: SavePart) -> None:
        taken = await folder.read(part.kind)
        _refuse_loss(taken.left_out)
        if taken.files and digest(taken.files) != marker.digest:
            name = await self._keep_beside(marker, taken.files, part)
            log.warning("keeping unsaved progress as a version", extra={"object": name})

    async def _keep_beside(
        self, marker: RestoreMarker, files: Files, part: SavePart, why: VersionReason = VersionReason.CONFLICT
    ) -> str:
        """Keep one version for each machine and content, even if called repeatedly.

        A version that the player has already decided on is not reported again.
        """
        name = beside_name(why, marker.writer, digest(files))
        settled = part.version(marker.prefix, settled_name(name))
        if await self._bucket.stat(settled) is not None:
            return settled
        packed = await asyncio.to_thread(pack, files, Manifest(marker.writer, marker.generation))
        words = archive_metadata(len(files), marker.writer, self._machine)
        return (await self._write(part.version(marker.prefix, name), packed, words)).name

    async def _write(
        self, name: str, packed: bytes, words: Mapping[str, str], if_generation: int | None = None
    ) -> StoredObject:
        return await self._bucket.write(
            name, packed, content_type=ARCHIVE_TYPE, if_generation=if_generation, metadata=words
        )

    async def _is_removed(self, marker: RestoreMarker) -> bool:
        """Return whether a player renamed or deleted the slot that this machine restored.

        A slot that is merely missing is not removed: the machine's files may be the last copy.
        """
        return marker.generation != ABSENT and await self._bucket.stat(f"{marker.prefix}/{REMOVED}") is not None

    async def _replace(self, folder: SaveFolder, slot: SaveSlot, current: _Current | None, part: SavePart) -> int:
        files = {} if current is None else current.files
        marker = _marker_for(slot, current)
        await write_marker(folder.shell, replace(marker, finished=False), part.kind)
        await folder.put(files, part.kind)
        await write_marker(folder.shell, marker, part.kind)
        return len(files)

    async def _current(self, prefix: str, part: SavePart) -> _Current | None:
        found = await self._read_archive(part.current(prefix))
        if found is None and part.older is not None:
            older = await self._read_archive(f"{prefix}/{part.older}{SUFFIX}")
            found = None if older is None else replace(older, generation=ABSENT)
        if found is None:
            return None
        files = {path: file for path, file in found.files.items() if _is_part(path, part)}
        is_elsewhere = found.generation == ABSENT and not files
        return None if is_elsewhere else replace(found, files=files)

    async def _read_archive(self, name: str) -> _Current | None:
        stored = await self._bucket.read(name, packed_limit(self._limit_bytes))
        if stored is None:
            return None
        about, packed = stored
        files, manifest = await asyncio.to_thread(unpack, packed, self._limit_bytes)
        writer = about.metadata.get(WRITER) or (None if manifest is None else manifest.written_by)
        return _Current(about.generation, files, manifest, writer, about.created_at)

    async def _forget_old_versions(self, marker: RestoreMarker, part: SavePart) -> None:
        folder = f"{marker.prefix}/{part.versions}/"
        try:
            stored = await self._bucket.list(f"{folder}2")  # versions named by time, oldest first
            names = [version.name.removeprefix(folder).removesuffix(SUFFIX) for version in stored]
            for name in self._superfluous(names, marker, part):
                await self._bucket.remove(part.version(marker.prefix, name))
        except ProviderError as error:
            log.warning("failed to remove old versions of a save", extra={"error": error.message})

    def _superfluous(self, names: Sequence[str], marker: RestoreMarker, part: SavePart) -> Sequence[str]:
        if part.kind is SaveKind.STATE:
            return names[:-_STATE_VERSIONS]
        began_with = () if marker.began_with is None else (marker.began_with,)
        return select_superfluous(names, datetime.now(UTC), last=self._versions_kept, began_with=began_with)


def combine(game: UploadReport, states: UploadReport) -> UploadReport:
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
    """Return whether a file belongs to a part.

    Files that earlier releases took as saves, but no longer are, stay with the games' saves.
    """
    return (kind_of(path) or SaveKind.GAME) is part.kind


def _holds_less(files: Files, current: Files) -> bool:
    """Return whether a save that has content in the slot is now empty."""
    return any(is_blank(file) and path in current and not is_blank(current[path]) for path, file in files.items())


def _version_of(current: _Current | None) -> str | None:
    return None if current is None or current.manifest is None else current.manifest.version


def _refuse_loss(left_out: Sequence[LeftOut]) -> None:
    """Raise an error if a restore would replace files that were not uploaded."""
    if left_out:
        raise ProviderRefusedError(f"these saves cannot be replaced, because not all can be kept: {left_out[0]}")


def _marker_for(slot: SaveSlot, current: _Current | None) -> RestoreMarker:
    return RestoreMarker(
        home=slot.home,
        prefix=slot.prefix,
        generation=ABSENT if current is None else current.generation,
        digest=digest({} if current is None else current.files),
        writer=secrets.token_hex(8),
        began_with=_version_of(current),
    )


def _is_ours(current: _Current, marker: RestoreMarker) -> bool:
    """Return whether the slot is what this machine restored or wrote, so that no other machine has written it."""
    return current.generation == marker.generation or current.writer == marker.writer
