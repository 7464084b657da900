"""Reads a save slot from its objects in the bucket: current archives, versions, and choices left to the player.

Live slots are below `saves/users/<user>/<console>/<game>/<save>/`. A deleted slot is moved as a whole to
`saves/deleted/<user>/<console>/<game>/<save>/<time of the deletion>/`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from providers.storage.bucket import StoredObject
from streaming.name_checks import folder_of
from streaming.saves.locations import SaveKind
from streaming.saves.parts import (
    DEVICE,
    OPEN_REASONS,
    PARTS,
    REMOVED,
    SAVED_AT,
    SUFFIX,
    VM_ID,
    SavePart,
    VersionReason,
    reason_of,
    writer_of,
)
from streaming.saves.slots import SaveSlot, parse_slot, user_prefix
from streaming.saves.versions import moment_of

DELETED: Final = "saves/deleted"
CURRENT: Final = "current"  # as the name of a version: the archive that a launch restores
_ABOVE: Final = 3  # the folders of console, game and save


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One archive of a slot.

    `name` is CURRENT for the object that a launch restores. `same_as_current` is true if its content equals the current
    one, byte by byte.
    """

    slot: SaveSlot
    part: SavePart
    name: str
    stored: StoredObject
    same_as_current: bool
    deletion: str | None = None

    @property
    def at(self) -> datetime:
        """Return when the machine uploaded it."""
        noted = self.stored.metadata.get(SAVED_AT)
        return moment_of(self.name) or _noted_moment(noted) or self.stored.created_at

    @property
    def reason(self) -> VersionReason:
        return reason_of(self.name)

    @property
    def writer(self) -> str | None:
        return writer_of(self.name, self.stored.metadata)

    @property
    def vm_id(self) -> str | None:
        return self.stored.metadata.get(VM_ID)

    @property
    def device(self) -> str | None:
        return self.stored.metadata.get(DEVICE)

    @property
    def key(self) -> str:
        """Return its name among all versions, for ids."""
        return f"{self.part.kind.value}/{self.name}/{slot_key(self.slot, self.deletion)}"


@dataclass(frozen=True, slots=True)
class SlotContents:
    """Everything in one slot. `versions` are sorted newest first; `deletion` names the deletion that contains it."""

    slot: SaveSlot
    objects: tuple[StoredObject, ...]
    versions: tuple[StoredVersion, ...]
    currents: tuple[StoredVersion, ...]
    deletion: str | None = None

    @property
    def prefix(self) -> str:
        return prefix_of(self.slot, self.deletion)

    @property
    def deleted_at(self) -> datetime | None:
        return None if self.deletion is None else moment_of(self.deletion)

    @property
    def is_empty(self) -> bool:
        return not self.objects

    def current(self, kind: SaveKind) -> StoredVersion | None:
        return next((one for one in self.currents if one.part.kind is kind), None)

    def version(self, kind: SaveKind, name: str) -> StoredVersion | None:
        """Return a version by its name, or None if it does not exist."""
        if name == CURRENT:
            return self.current(kind)
        return next((one for one in self.versions if (one.part.kind, one.name) == (kind, name)), None)

    def open_versions(self, kind: SaveKind) -> list[StoredVersion]:
        """Return the versions that the player has not yet chosen between, newest first."""
        return [one for one in self.versions if one.part.kind is kind and one.reason in OPEN_REASONS]

    def is_newest_open(self, version: StoredVersion) -> bool:
        """Return whether a version is the last that its machine's folder left for the player to choose."""
        opened = self.open_versions(version.part.kind)
        return version == next((one for one in opened if one.writer == version.writer), None)

    def candidates(self, kind: SaveKind) -> list[StoredVersion]:
        """Return the player's choices: the current archive and the newest open version of each machine's folder.

        The list is empty if there is nothing to choose.
        """
        newest = {one.writer: one for one in reversed(self.open_versions(kind))}
        current = self.current(kind)
        others = sorted(newest.values(), key=lambda one: one.at, reverse=True)
        return [*([] if current is None or not others else [current]), *others]


def slot_key(slot: SaveSlot, deletion: str | None) -> str:
    """Return the key of a slot or of one of its deletions."""
    if deletion is None:
        return slot.key
    console, game, save, user_id = slot.key.split("/", 3)
    return f"{console}/{game}/{save}@{deletion}/{user_id}"


def split_slot_key(key: str) -> tuple[str, str | None]:
    """Return the key of the slot itself, and the deletion in the key."""
    console, game, save, user_id = [*key.split("/", 3), "", "", ""][:4]
    save, _, deletion = save.partition("@")
    return f"{console}/{game}/{save}/{user_id}", deletion or None


def prefix_of(slot: SaveSlot, deletion: str | None = None) -> str:
    """Return the folder of a slot, or of one of its deletions, in the bucket."""
    if deletion is None:
        return slot.prefix
    return f"{DELETED}/{slot.prefix.removeprefix('saves/users/')}/{deletion}"


def deleted_prefix(user_id: str) -> str:
    """Return the folder of all deleted slots of a user in the bucket."""
    return f"{DELETED}/{folder_of(user_id)}"


def slots_in(user_id: str, objects: Iterable[StoredObject], *, deleted: bool = False) -> list[SlotContents]:
    """Sort the objects of a user's folder into slots. Objects in folders that name no slot are skipped."""
    top = deleted_prefix(user_id) if deleted else user_prefix(user_id)
    depth = _ABOVE + (1 if deleted else 0)
    found: dict[tuple[str, ...], list[StoredObject]] = defaultdict(list)
    for one in objects:
        folders = tuple(one.name.removeprefix(f"{top}/").split("/"))
        if len(folders) > depth:
            found[folders[:depth]].append(one)
    slots = []
    for (console, game, save, *deletion), inside in found.items():
        slot = parse_slot(user_id, console, game, save)
        if slot is not None and (not deletion or moment_of(deletion[0]) is not None):
            slots.append(contents_of(slot, inside, deletion[0] if deletion else None))
    return [one for one in slots if not one.is_empty]


def contents_of(slot: SaveSlot, objects: Sequence[StoredObject], deletion: str | None = None) -> SlotContents:
    """Return the slot that consists of these objects below its folder."""
    prefix = prefix_of(slot, deletion)
    kept = tuple(one for one in objects if one.name != f"{prefix}/{REMOVED}")
    currents: list[StoredVersion] = []
    versions: list[StoredVersion] = []
    for part in PARTS:
        current = next((one for one in kept if one.name == part.current(prefix)), None)
        if current is not None:
            currents.append(StoredVersion(slot, part, CURRENT, current, same_as_current=True, deletion=deletion))
        folder = f"{prefix}/{part.versions}/"
        for one in kept:
            if one.name.startswith(folder) and one.name.endswith(SUFFIX):
                name = one.name.removeprefix(folder).removesuffix(SUFFIX)
                same = current is not None and one.md5 is not None and one.md5 == current.md5
                versions.append(StoredVersion(slot, part, name, one, same, deletion))
    versions.sort(key=lambda one: (one.at, one.name), reverse=True)
    return SlotContents(slot, kept, tuple(versions), tuple(currents), deletion)


def _noted_moment(text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)
