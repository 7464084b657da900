"""The save folders inside an app's home on a machine, read and written as the player's own user."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from errors import ProviderBusyError
from streaming.saves.archive import PLAYER_ID, Files, SavedFile, pack, packed_limit, plain_files
from streaming.saves.locations import SAVE_FOLDERS, SaveKind, kind_of
from streaming.saves.slots import STATE_ROOT
from streaming.saves.survey import Entry, LeftOut, Survey, mend_links, survey
from streaming.ssh import Answer, CommandFailedError, Shell

_TRIES: Final = 3
_TRANSFER_S: Final = 300
_CHANGED: Final = 1  # tar's status for a file that changed while it was read
_FAILED: Final = 2
_GONE: Final = b"Cannot stat: No such file or directory"


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read of the save folders, and what could not be."""

    files: dict[str, SavedFile]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveFolder:
    """`home` holds much besides saves; only the known save folders in it are ever touched."""

    shell: Shell
    home: str
    limit_bytes: int

    async def prepare(self) -> None:
        """Make the folder of all homes, whose content proves what is not there."""
        await self.shell.sudo("mkdir", "-p", STATE_ROOT)

    async def look(self, kind: SaveKind) -> Survey:
        """See what is there now of this kind, without reading it. Raises when that cannot be seen."""
        found = await survey(self.shell, self.home, SAVE_FOLDERS)
        files = {path: entry for path, entry in found.files.items() if kind_of(path) is kind}
        return Survey(files, [one for one in found.left_out if kind_of(one.path) is kind])

    async def take(self, kind: SaveKind) -> Taken:
        """Read all files of this kind, whole, as many as a slot may hold. A game that writes meanwhile makes it begin
        again, and ProviderBusyError at last."""
        for _ in range(_TRIES):
            found = await self.look(kind)
            chosen, beyond = _within(found.files, kind, self.limit_bytes)
            left_out = (*found.left_out, *beyond)
            if not chosen:
                return Taken({}, left_out)
            answer = await self._read({entry.path for entry in chosen.values()})
            if answer.exit_status == 0:
                files = await asyncio.to_thread(plain_files, answer.stdout, self.limit_bytes)
                if all(entry.path in files for entry in chosen.values()):
                    return Taken({name: files[entry.path] for name, entry in chosen.items()}, left_out)
        raise ProviderBusyError(f"the saves changed while they were read, every time: {answer.complaint}")

    async def put(self, files: Files, kind: SaveKind) -> None:
        """Make these the only files of this kind there. Whatever is no save stays."""
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
        """Remove the files of this kind. Their names go in as data: there may be many, and they may be no text."""
        await mend_links(self.shell, self.home, SAVE_FOLDERS)
        found = await self.look(kind)
        names = "\0".join(sorted({entry.path for entry in found.files.values()}))
        if names:
            remove = ("env", "-C", self.home, "xargs", "-0", "-r", "rm", "-f", "--")
            await self._run(*remove, input=names.encode(errors="surrogateescape"))

    async def _read(self, paths: Collection[str]) -> Answer:
        """Have tar write these files. What changed or went away while it read is no failure of tar."""
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
    """Choose what fits: of what games save the small files first, memory cards among them; of states the newest."""
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
    SaveKind.STATE: "is not uploaded: a slot keeps {mb} MB of save states, the newest first; delete some in the game",
    SaveKind.GAME: "is not uploaded: a slot keeps {mb} MB of saves, the small ones first; make room in the game",
}


def _place_of(path: str) -> str:
    """Return the save folder that a file lies in, or the highest folder of one that others packed."""
    return next((place for place in SAVE_FOLDERS if path.startswith(f"{place}/")), path.partition("/")[0])
