"""A note on the machine, beside each home folder that saves were restored into: of what, and how far."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Final

import orjson

from streaming.slots import SaveSlot
from streaming.ssh import Shell

_FOLDER: Final = "/var/lib/cloudypad/gamer-saves"  # on the disk that the homes are on: they share their fate


@dataclass(frozen=True, slots=True)
class Note:
    """`generation` and `digest` are those of the bucket's archive that the files come from or went into last;
    `writer` tells this folder from every other one that may write the slot."""

    home: str
    prefix: str
    generation: int
    digest: str
    writer: str
    finished: bool = True


async def read_note(shell: Shell, slot: SaveSlot) -> Note | None:
    """None where nothing was ever restored, or the note cannot be understood."""
    content = await shell.read_file(_path(slot.home))
    try:
        return None if content is None else Note(**orjson.loads(content))
    except (orjson.JSONDecodeError, TypeError):
        return None


async def write_note(shell: Shell, note: Note) -> None:
    await shell.sudo("install", "-d", "-m", "0700", _FOLDER)
    await shell.write_file(_path(note.home), orjson.dumps(asdict(note)), 0o600)


def _path(home: str) -> str:
    user, title = PurePosixPath(home).parts[-2:]
    return f"{_FOLDER}/{user}--{title}.json"
