"""Reads and writes the save folders in an app's home on a machine, as the player's own user."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from errors import ProviderBusyError
from streaming.saves.archive import PLAYER_ID, Files, SavedFile, pack, packed_limit, read_plain_files
from streaming.saves.locations import SAVE_FOLDERS, SaveKind, kind_of
from streaming.saves.slots import STATE_ROOT
from streaming.saves.survey import Entry, LeftOut, Survey, mend_links, survey
from streaming.ssh import Answer, CommandFailedError, Shell

_TRIES: Final = 3
_TRANSFER_S: Final = 300
_CHANGED: Final = 1  # tar's status if a file changed while it was read
_FAILED: Final = 2
_GONE: Final = b"Cannot stat: No such file or directory"


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The files that were read from the save folders, and those that could not be."""

    files: dict[str, SavedFile]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveFolder:
    """The save folders below `home`, which also has other files; these are never touched."""

    shell: Shell
    home: str
    limit_bytes: int

    async def prepare(self) -> None:
        """Create the folder of all homes, whose listing proves which homes do not exist."""
        await self.shell.sudo("mkdir", "-p", STATE_ROOT)

    async def look(self, kind: SaveKind) -> Survey:
        """List the files of this kind without reading them. Raises an error if they cannot be listed."""
        found = await survey(self.shell, self.home, SAVE_FOLDERS)
        files = {path: entry for path, entry in found.files.items() if kind_of(path) is kind}
        return Survey(files, [one for one in found.left_out if kind_of(one.path) is kind])

    async def read(self, kind: SaveKind) -> ReadResult:
        """Read all files of this kind completely, up to the limit of a slot.

        If a game writes during the read, it is repeated; ProviderBusyError is raised in the end.
        """
        for _ in range(_TRIES):
            found = await self.look(kind)
            chosen, beyond = _within(found.files, kind, self.limit_bytes)
            left_out = (*found.left_out, *beyond)
            if not chosen:
                return ReadResult({}, left_out)
            answer = await self._archive({entry.path for entry in chosen.values()})
            if answer.exit_status == 0:
                files = await asyncio.to_thread(read_plain_files, answer.stdout, self.limit_bytes)
                if all(entry.path in files for entry in chosen.values()):
                    return ReadResult({name: files[entry.path] for name, entry in chosen.items()}, left_out)
        raise ProviderBusyError(f"the saves kept changing while they were read: {answer.complaint}")

    async def put(self, files: Files, kind: SaveKind) -> None:
        """Replace the files of this kind. Files that are not saves are kept."""
        user = str(PLAYER_ID)
        parent = str(PurePosixPath(self.home).parent)
        await self.shell.sudo("install", "-d", "-o", user, "-g", user, "-m", "0755", parent, self.home)
        await self._clear(kind)
        if not files:
            return
        packed = await asyncio.to_thread(pack, files)
        await self._run("tar", "-C", self.home, "-xzf", "-", input=packed, timeout_s=_TRANSFER_S)
        arrived = await survey(self.shell, self.home, sorted({_place_of(path) for path in files}))
        if missing := sorted(set(files) - set(arrived.files)):
            raise ProviderBusyError(f"{len(missing)} of {len(files)} saves did not arrive on the machine")

    async def _clear(self, kind: SaveKind) -> None:
        """Remove the files of this kind.

        Their names are sent as data, because they may be many and may not be UTF-8.
        """
        await mend_links(self.shell, self.home, SAVE_FOLDERS)
        found = await self.look(kind)
        names = "\0".join(sorted({entry.path for entry in found.files.values()}))
        if names:
            remove = ("env", "-C", self.home, "xargs", "-0", "-r", "rm", "-f", "--")
            await self._run(*remove, input=names.encode(errors="surrogateescape"))

    async def _archive(self, paths: Collection[str]) -> Answer:
        """Archive these files with tar. Files that change or disappear meanwhile do not make it fail."""
        answer = await self.shell.run_as_user(
            PLAYER_ID,
            *("env", "LC_ALL=C", "tar", "-C", self.home, "--null", "--verbatim-files-from", "--no-recursion"),
            *("--hard-dereference", "-czf", "-", "-T", "-"),
            input="\0".join(sorted(paths)).encode(errors="surrogateescape"),
            expected=(0, _CHANGED, _FAILED),
            timeout_s=_TRANSFER_S,
            limit_bytes=packed_limit(self.limit_bytes),
        )
        if answer.exit_status == _FAILED and _GONE not in answer.stderr:
            raise CommandFailedError("tar", answer)
        return answer

    async def _run(self, *argv: str, input: bytes | None = None, timeout_s: float = 60) -> bytes:
        answer = await self.shell.run_as_user(PLAYER_ID, *argv, input=input, timeout_s=timeout_s)
        return answer.stdout


def _within(
    files: Mapping[str, Entry], kind: SaveKind, limit_bytes: int
) -> tuple[dict[str, Entry], tuple[LeftOut, ...]]:
    """Choose the files that fit: game saves from small to large, memory cards among them; states from new to old."""
    order = sorted(files.items(), key=lambda item: _rank(item[1], kind))
    chosen: dict[str, Entry] = {}
    left_out: list[LeftOut] = []
    size = 0
    for name, entry in order:
        if size + entry.size_bytes <= limit_bytes:
            chosen[name] = entry
            size += entry.size_bytes
        else:
            left_out.append(LeftOut(name, _BEYOND[kind].format(mb=limit_bytes // 10**6), entry.size_bytes))
    return chosen, tuple(left_out)


def _rank(entry: Entry, kind: SaveKind) -> float:
    return -entry.modified_at if kind is SaveKind.STATE else entry.size_bytes


_BEYOND: Final = {
    SaveKind.STATE: "is not uploaded: a slot holds {mb} MB of save states, the newest first; delete some in the game",
    SaveKind.GAME: "is not uploaded: a slot holds {mb} MB of saves, the smallest first; free space in the game",
}


def _place_of(path: str) -> str:
    """Return the save folder of a file, or its top folder in archives that others packed."""
    return next((place for place in SAVE_FOLDERS if path.startswith(f"{place}/")), path.partition("/")[0])
