"""Finds the saves on a machine without a record, by the restore markers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from models.catalog import ConsoleType
from streaming.name_checks import is_id
from streaming.saves.restore_marker import FOLDER, prefix_in
from streaming.ssh import CommandFailedError, Shell

_NO_GAME: Final = "_"
_PARTS: Final = 6  # saves/users/<user's folder>/<console>/<game>/<save>
_MOST: Final = 100
_NO_SUCH_FOLDER: Final = 2  # status of `ls`; its message tells whether this was the reason


@dataclass(frozen=True, slots=True)
class FoundSlot:
    """A save slot as the machine names it. `folder` is the user's (streaming.name_checks.folder_of)."""

    folder: str
    console: ConsoleType
    game_id: str | None
    save_id: str


async def find_slots(shell: Shell) -> list[FoundSlot]:
    """Return the slots with saves on this machine, the last used first."""
    slots = []
    for name in await _notes(shell):
        content = await shell.read_file(f"{FOLDER}/{name}")
        if (slot := _slot(prefix_in(content))) is not None:
            slots.append(slot)
    return slots


async def _notes(shell: Shell) -> Sequence[str]:
    answer = await shell.sudo("env", "LC_ALL=C", "ls", "-1t", FOLDER, expected=(0, _NO_SUCH_FOLDER))
    if answer.exit_status == 0:
        return [line for line in answer.text.splitlines() if line.endswith(".json") and "/" not in line][:_MOST]
    if "No such file or directory" in answer.stderr.decode(errors="replace"):
        return []
    raise CommandFailedError("ls", answer)


def _slot(prefix: str) -> FoundSlot | None:
    parts = PurePosixPath(prefix).parts
    if len(parts) != _PARTS or parts[:2] != ("saves", "users") or parts[3] not in set(ConsoleType):
        return None
    folder, console, game, save = parts[2:]
    if not is_id(save) or not (game == _NO_GAME or is_id(game)):
        return None
    return FoundSlot(folder, ConsoleType(console), None if game == _NO_GAME else game, save)
