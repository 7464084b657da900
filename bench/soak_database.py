"""Errors on the wire between the service and its database, as MongoDB and Atlas word them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from typing import Final

from tests.fault_proxy import READS, WRITES, Error, Fault, FaultProxy

_RETRYABLE: Final = ("RetryableWriteError",)
_KINDS: Final[tuple[tuple[str, Fault], ...]] = (
    ("262 ExceededTimeLimit", Fault(WRITES, error=Error(262, "ExceededTimeLimit"))),
    ("262 ExceededTimeLimit", Fault(READS, error=Error(262, "ExceededTimeLimit"))),
    ("13 Unauthorized", Fault(WRITES, error=Error(13, "Unauthorized"))),
    ("8000 AtlasError", Fault(WRITES, error=Error(8000, "AtlasError"))),
    ("189 PrimarySteppedDown", Fault(WRITES, error=Error(189, "PrimarySteppedDown", labels=_RETRYABLE))),
    ("10107 NotWritablePrimary", Fault(WRITES, error=Error(10107, "NotWritablePrimary"))),
    ("reset", Fault((*WRITES, *READS), reset=True)),
    ("answer lost", Fault(WRITES, lose_answer=True)),
    ("reset between two reads", Fault(READS, reset_next_read=True)),
    ("late answer", Fault((*WRITES, *READS), delay_s=2.0)),
)
_MOST_AT_ONCE: Final = 5  # a failing server refuses several commands in a row
_FORGET_EVERY_S: Final = 5.0


class DatabaseErrors:
    """Each `strike` refuses the next commands that come, and waits until it has refused one."""

    def __init__(self, proxy: FaultProxy, chance: random.Random, wanted: int) -> None:
        """`wanted`: how many commands are met in the whole soak."""
        self._proxy = proxy
        self._chance = chance
        self._left = wanted
        self.met: Counter[str] = Counter()

    async def strike(self) -> int:
        """Return how many commands were met."""
        name, kind = self._chance.choice(_KINDS)
        times = min(self._left, self._chance.randint(1, _MOST_AT_ONCE))
        # A copy with separate events: copies of a dataclass share theirs.
        fault = replace(kind, times=times, reached=asyncio.Event(), counted={})
        with self._proxy.fault(fault):
            await _waited(fault.after(times))
        self.met[f"database: {name}"] += fault.met
        self._left -= fault.met
        return fault.met

    async def keep_short(self) -> None:
        """Discard the recorded commands, which are not needed here. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(_FORGET_EVERY_S)
            self._proxy.forget()


async def _waited(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(3):
            await event.wait()
    except TimeoutError:
        return
