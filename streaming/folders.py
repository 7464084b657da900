"""The save folders inside an app's home on a machine, read and written as the player's own user."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from errors import ProviderBusyError
from streaming.archives import PLAYER_ID, Files, SavedFile, pack, plain_files
from streaming.slots import SAVE_FOLDERS
from streaming.ssh import Shell

_TRIES: Final = 3
_TRANSFER_S: Final = 300


@dataclass(frozen=True, slots=True)
class SaveFolder:
    """`home` holds much besides saves; only the known save folders in it are ever touched."""

    shell: Shell
    home: str
    limit_bytes: int

    async def names(self) -> set[str]:
        """The files there now, relative to the home."""
        folders = await self._existing()
        if not folders:
            return set()
        answer = await self._run("find", *(f"{self.home}/{folder}" for folder in folders), "-type", "f", "-print0")
        found = answer.decode(errors="surrogateescape").split("\0")
        return {path.removeprefix(f"{self.home}/") for path in found if path}

    async def take(self) -> dict[str, SavedFile]:
        """All files, whole. A game that writes meanwhile makes it begin again, and ProviderBusyError at last."""
        for _ in range(_TRIES):
            names = await self.names()
            if not names:
                return {}
            answer = await self.shell.as_user(
                PLAYER_ID,
                *("tar", "-C", self.home, "-czf", "-", "--", *await self._existing()),
                check=False,
                timeout_s=_TRANSFER_S,
                limit_bytes=self.limit_bytes,
            )
            if answer.exit_status == 0:
                files = await asyncio.to_thread(plain_files, answer.stdout, self.limit_bytes)
                if set(files) == names:
                    return files
        raise ProviderBusyError("the saves changed while they were read, every time")

    async def put(self, files: Files) -> None:
        """Make these the only files there."""
        user = str(PLAYER_ID)
        parent = str(PurePosixPath(self.home).parent)
        await self.shell.sudo("install", "-d", "-o", user, "-g", user, "-m", "0755", parent, self.home)
        await self._run("rm", "-rf", "--", *(f"{self.home}/{folder}" for folder in SAVE_FOLDERS))
        if not files:
            return
        packed = await asyncio.to_thread(pack, files)
        await self._run("tar", "-C", self.home, "-xzf", "-", input=packed, timeout_s=_TRANSFER_S)
        if not set(files) <= await self._all_names(files):
            raise ProviderBusyError("not all saves arrived on the machine")

    async def _all_names(self, files: Files) -> set[str]:
        tops = sorted({PurePosixPath(path).parts[0] for path in files})
        answer = await self._run("find", *(f"{self.home}/{top}" for top in tops), "-type", "f", "-print0")
        found = answer.decode(errors="surrogateescape").split("\0")
        return {path.removeprefix(f"{self.home}/") for path in found}

    async def _existing(self) -> list[str]:
        """Those save folders that there are."""
        paths = [f"{self.home}/{folder}" for folder in SAVE_FOLDERS]
        answer = await self.shell.as_user(PLAYER_ID, "ls", "-1d", "--", *paths, check=False)
        return [path.removeprefix(f"{self.home}/") for path in answer.text.splitlines() if path in paths]

    async def _run(self, *argv: str, input: bytes | None = None, timeout_s: float = 60) -> bytes:
        answer = await self.shell.as_user(PLAYER_ID, *argv, input=input, timeout_s=timeout_s)
        return answer.stdout
