"""Locks that delay a shutdown which the power button began, as logind keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator

from simulator.clock import Clock
from simulator.machines.files import Files

DEFAULT_S = 5.0
FOLDER = "/etc/systemd/logind.conf.d"
LONGEST = re.compile(r"^InhibitDelayMaxSec=(\d+)$", re.MULTILINE)


class ShutdownDelay:
    """`longest_s` is read when logind is told to read its files again, and at a boot."""

    def __init__(self, files: Files, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._locks = 0
        self._free = asyncio.Event()
        self._free.set()
        self.longest_s = DEFAULT_S

    @property
    def is_held(self) -> bool:
        return self._locks > 0

    def reload(self) -> None:
        names = sorted(self._files.listdir(FOLDER)) if self._files.is_dir(FOLDER) else []
        found = [LONGEST.search(self._files.read_text(f"{FOLDER}/{name}")) for name in names]
        self.longest_s = next((float(each[1]) for each in reversed(found) if each), DEFAULT_S)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        self._locks += 1
        self._free.clear()
        try:
            yield
        finally:
            self._locks -= 1
            if not self._locks:
                self._free.set()

    async def wait(self) -> None:
        """Wait until no lock is held, but not longer than logind is told."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._clock.real_seconds(self.longest_s)):
                await self._free.wait()
