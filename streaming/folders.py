"""The save folders inside an app's home on a machine, read and written as the player's own user."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from errors import ProviderBusyError
from streaming.archives import PLAYER_ID, Files, SavedFile, pack, plain_files
from streaming.slots import SAVE_FOLDERS, STATE_ROOT
from streaming.ssh import Answer, CommandFailedError, Shell
from streaming.survey import LeftOut, Survey, mend_links, survey

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

    async def look(self) -> Survey:
        """See what is there now, without reading it. Raises when that cannot be seen."""
        return await survey(self.shell, self.home, SAVE_FOLDERS)

    async def take(self) -> Taken:
        """Read all files, whole. A game that writes meanwhile makes it begin again, and ProviderBusyError at last."""
        for _ in range(_TRIES):
            found = await self.look()
            if not found.files:
                return Taken({}, tuple(found.left_out))
            answer = await self._read({entry.path for entry in found.files.values()})
            if answer.exit_status == 0:
                files = await asyncio.to_thread(plain_files, answer.stdout, self.limit_bytes)
                if all(entry.path in files for entry in found.files.values()):
                    named = {name: files[entry.path] for name, entry in found.files.items()}
                    return Taken(named, tuple(found.left_out))
        raise ProviderBusyError(f"the saves changed while they were read, every time: {answer.complaint}")

    async def put(self, files: Files) -> None:
        """Make these the only files there."""
        user = str(PLAYER_ID)
        parent = str(PurePosixPath(self.home).parent)
        await self.shell.sudo("install", "-d", "-o", user, "-g", user, "-m", "0755", parent, self.home)
        await mend_links(self.shell, self.home, SAVE_FOLDERS)
        await self._run("rm", "-rf", "--", *(f"{self.home}/{folder}" for folder in SAVE_FOLDERS))
        if not files:
            return
        packed = await asyncio.to_thread(pack, files)
        await self._run("tar", "-C", self.home, "-xzf", "-", input=packed, timeout_s=_TRANSFER_S)
        arrived = await survey(self.shell, self.home, sorted({_place_of(path) for path in files}))
        if missing := sorted(set(files) - set(arrived.files)):
            raise ProviderBusyError(f"{len(missing)} of {len(files)} saves did not arrive on the machine")

    async def _read(self, paths: Collection[str]) -> Answer:
        """Have tar write these files. What changed or went away while it read is no failure of tar."""
        answer = await self.shell.as_user(
            PLAYER_ID,
            *("env", "LC_ALL=C", "tar", "-C", self.home, "--null", "--verbatim-files-from", "--no-recursion"),
            *("--hard-dereference", "-czf", "-", "-T", "-"),
            input="\0".join(sorted(paths)).encode(errors="surrogateescape"),
            expected=(0, _CHANGED, _FAILED),
            timeout_s=_TRANSFER_S,
            limit_bytes=self.limit_bytes,
        )
        if answer.exit_status == _FAILED and _GONE not in answer.stderr:
            raise CommandFailedError("tar", answer)
        return answer

    async def _run(self, *argv: str, input: bytes | None = None, timeout_s: float = 60) -> bytes:
        answer = await self.shell.as_user(PLAYER_ID, *argv, input=input, timeout_s=timeout_s)
        return answer.stdout


def _place_of(path: str) -> str:
    """Return the save folder that a file lies in, or the highest folder of one that others packed."""
    return next((place for place in SAVE_FOLDERS if path.startswith(f"{place}/")), path.partition("/")[0])
