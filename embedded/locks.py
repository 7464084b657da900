"""Advisory locks on files. They end with the process that holds them, even if it is killed."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

POLL_S = 0.05


class FileLock:
    """A lock on a file. Two objects exclude each other, within a process and between processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, *, shared: bool = False) -> bool:
        """Try to take the lock without waiting, and return whether that succeeded."""
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def wait(self, within_s: float, *, shared: bool = False) -> bool:
        """Wait for the lock, and return whether it was taken in time."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not self.take(shared=shared):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def descriptor(self) -> int:
        """Return the descriptor for a child to inherit, which then holds the lock while it lives."""
        return self._descriptor

    def text(self) -> str:
        """Return what the holder wrote into the file."""
        return os.pread(self._descriptor, 100, 0).decode(errors="replace")

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Let go. A child that inherited the lock keeps it."""
        os.close(self._descriptor)
