"""Names and metadata of a save slot's objects in the bucket.

A slot has two parts, each with a current archive and versions: the games' own saves, and the emulator's states.
Versions of uploads are named by time; those that did not become current are named by the reason, the folder that wrote
them and their content (`conflict-<writer>-<digest>`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from streaming.saves.locations import SaveKind

ARCHIVE_TYPE: Final = "application/gzip"
SUFFIX: Final = ".tar.gz"
REMOVED: Final = "removed.json"  # marks a slot that its player renamed or deleted
FILES, WRITER, SAVED_AT, VM_ID, DEVICE = "files", "writer", "saved-at", "vm-id", "device"
_DIGEST_DIGITS: Final = 12
_DEVICE_LENGTH: Final = 120


class VersionReason(StrEnum):
    """Why a version exists."""

    UPLOADED = "UPLOADED"  # uploaded by a machine, and current at that time
    IMPORTED = "IMPORTED"  # was current without being an upload of ours
    CONFLICT = "CONFLICT"  # another machine wrote the slot in between: the player has to choose
    SHRUNK = "SHRUNK"  # a save in it suddenly became empty: the player has to choose
    SETTLED = "SETTLED"  # the player has chosen between it and others


_BEGINS: Final = {
    VersionReason.IMPORTED: "before",
    VersionReason.CONFLICT: "conflict",
    VersionReason.SHRUNK: "shrunk",
    VersionReason.SETTLED: "settled",
}
OPEN_REASONS: Final = frozenset({VersionReason.CONFLICT, VersionReason.SHRUNK})


@dataclass(frozen=True, slots=True)
class SavePart:
    """One kind of saves in the bucket. `older` is where releases with a single part stored both kinds."""

    kind: SaveKind
    name: str
    versions: str
    older: str | None = None

    def current(self, prefix: str) -> str:
        return f"{prefix}/{self.name}{SUFFIX}"

    def version(self, prefix: str, name: str) -> str:
        return f"{prefix}/{self.versions}/{name}{SUFFIX}"


GAME_PART: Final = SavePart(SaveKind.GAME, "current", "versions")
STATE_PART: Final = SavePart(SaveKind.STATE, "states", "state-versions", older="current")
PARTS: Final = (GAME_PART, STATE_PART)


@dataclass(frozen=True, slots=True)
class MachineLabel:
    """The machine that a save comes from: our id, and a name that its player understands."""

    vm_id: str | None = None
    device: str | None = None


NO_MACHINE: Final = MachineLabel()


def archive_metadata(
    files: int, writer: str | None, machine: MachineLabel, saved_at: datetime | None = None
) -> dict[str, str]:
    """Return an archive's metadata."""
    words = {
        FILES: str(files),
        SAVED_AT: (saved_at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        WRITER: writer,
        VM_ID: machine.vm_id,
        DEVICE: None if machine.device is None else machine.device[:_DEVICE_LENGTH],
    }
    return {key: word for key, word in words.items() if word}


def beside_name(reason: VersionReason, writer: str, digest: str) -> str:
    """Return the name of a version that did not become current: one for each folder and content."""
    return f"{_BEGINS[reason]}-{writer}-{digest[:_DIGEST_DIGITS]}"


def settled_name(name: str) -> str:
    """Return the name of a conflict's version after the player has chosen."""
    return f"{_BEGINS[VersionReason.SETTLED]}-{name.partition('-')[2]}"


def reason_of(name: str) -> VersionReason:
    """Return why a version exists, by its name."""
    start = name.partition("-")[0]
    return next((reason for reason, begin in _BEGINS.items() if begin == start), VersionReason.UPLOADED)


def writer_of(name: str, metadata: Mapping[str, str]) -> str | None:
    """Return the machine's folder that wrote a version, or None if it is not recorded."""
    named = name.split("-")
    return metadata.get(WRITER) or (
        named[1] if reason_of(name) is not VersionReason.UPLOADED and len(named) > 1 else None
    )
