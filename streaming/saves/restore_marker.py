"""Restore markers: notes on the machine, beside its homes, that record what was restored and how far."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Final

import orjson

from providers.storage.bucket import ABSENT
from streaming.saves.archive import digest
from streaming.saves.locations import SaveKind
from streaming.saves.slots import SaveSlot
from streaming.ssh import Shell

FOLDER: Final = "/var/lib/cloudypad/gamer-saves"  # on the same disk as the homes, so that neither is lost alone


@dataclass(frozen=True, slots=True)
class RestoreMarker:
    """A restore marker.

    `generation` and `digest` are those of the bucket's archive that the files were last restored from or uploaded to.
    `writer` distinguishes this folder from every other one that may write the slot. `began_with` is the version that
    was restored.
    """

    home: str
    prefix: str
    generation: int
    digest: str
    writer: str
    finished: bool = True
    began_with: str | None = None


async def read_marker(shell: Shell, slot: SaveSlot, kind: SaveKind) -> RestoreMarker | None:
    """Return the marker, or None if nothing was restored or it cannot be parsed.

    On a machine that was set up before states had their own marker, no states were restored from their archive.
    """
    note = _parse(await shell.read_file(_path(slot.home, kind)))
    if note is None and kind is SaveKind.STATE:
        older = _parse(await shell.read_file(_path(slot.home, SaveKind.GAME)))
        note = None if older is None else replace(older, generation=ABSENT, digest=digest({}), began_with=None)
    return note


async def write_marker(shell: Shell, note: RestoreMarker, kind: SaveKind) -> None:
    """Write the marker of its home for this kind of saves."""
    path = _path(note.home, kind)
    await shell.sudo("install", "-d", "-m", "0700", FOLDER, str(PurePosixPath(path).parent))
    await shell.write_file(path, orjson.dumps(asdict(note)), 0o600)


def prefix_in(content: bytes | None) -> str:
    """Return the slot's folder in the bucket from a marker's content; empty if it cannot be parsed."""
    note = _parse(content)
    return "" if note is None or not isinstance(note.prefix, str) else note.prefix


def _parse(content: bytes | None) -> RestoreMarker | None:
    """Parse a marker. Fields that a newer release added are ignored."""
    try:
        found = None if content is None else orjson.loads(content)
        return None if found is None else RestoreMarker(**{key: found[key] for key in found.keys() & _KNOWN})
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        return None


_KNOWN: Final = {field.name for field in fields(RestoreMarker)}


def _path(home: str, kind: SaveKind) -> str:
    user, title = PurePosixPath(home).parts[-2:]
    folder = FOLDER if kind is SaveKind.GAME else f"{FOLDER}/states"
    return f"{folder}/{user}--{title}.json"
