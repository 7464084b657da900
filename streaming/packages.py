"""Installs packages of the machine's distribution.

A new machine updates itself and thus holds apt's locks. `DPkg::Lock::Timeout` waits for the lock of installations only;
the lock of the package lists fails at once, so the update is repeated until the lock is free.
"""

from __future__ import annotations

import asyncio
from typing import Final

from streaming.ssh import CommandFailedError, Shell

_APT: Final = ("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-o", "DPkg::Lock::Timeout=300")
_COMMAND_S: Final = 600
_WAIT_S: Final = 300
_LOCKED: Final = ("Could not get lock", "Unable to lock")


async def install(shell: Shell, *packages: str, wait_s: float = _WAIT_S, pause_s: float = 5) -> None:
    """Install packages after updating the package lists. Raises CommandFailedError with apt's reason."""
    await _update(shell, wait_s, pause_s)
    await shell.sudo(*_APT, "install", "-y", "--no-install-recommends", *packages, timeout_s=_COMMAND_S)


async def _update(shell: Shell, wait_s: float, pause_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            await shell.sudo(*_APT, "update", timeout_s=_COMMAND_S)
        except CommandFailedError as error:
            said = (error.answer.stdout + error.answer.stderr).decode(errors="replace")
            if not any(words in said for words in _LOCKED) or asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(pause_s)
        else:
            return
