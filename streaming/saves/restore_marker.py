"""A note on the machine, beside each home folder that saves were restored into: of what, and how far."""

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

FOLDER: Final = "/var/lib/cloudypad/gamer-saves"  # on the disk that the homes are on: they share their fate


@dataclass(frozen=True, slots=True)
class RestoreMarker:
    """`generation` and `digest` are those of the bucket's archive that the files come from or went into last;
    `writer` tells this folder from every other one that may write the slot; `began_with` is the version that was
    restored."""

    home: str
    prefix: str
    generation: int
    digest: str
    writer: str
    finished: bool = True
    began_with: str | None = None


async def read_note(shell: Shell, slot: SaveSlot, kind: SaveKind) -> RestoreMarker | None:
    """Return None where nothing was ever restored, or the note cannot be understood.

    A machine that was set up before states had a note of their own: nothing of them was restored from their archive.
    """
    note = _understood(await shell.read_file(_path(slot.home, kind)))
    if note is None and kind is SaveKind.STATE:
        older = _understood(await shell.read_file(_path(slot.home, SaveKind.GAME)))
        note = None if older is None else replace(older, generation=ABSENT, digest=digest({}), began_with=None)
    return note


async def write_note(shell: Shell, note: RestoreMarker, kind: SaveKind) -> None:
    path = _path(note.home, kind)
    await shell.sudo("install", "-d", "-m", "0700", FOLDER, str(PurePosixPath(path).parent))
    await shell.write_file(path, orjson.dumps(asdict(note)), 0o600)


def prefix_in(content: bytes | None) -> str:
    """Return the slot's folder in the bucket that a note's content names; empty when it cannot be understood."""
    note = _understood(content)
    return "" if note is None or not isinstance(note.prefix, str) else note.prefix


def _understood(content: bytes | None) -> RestoreMarker | None:
    """A newer release may have written more into it."""
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
