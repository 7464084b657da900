"""How often and how much at once: requests, sockets, messages. All refuse with LimitReachedError."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final

from errors import ConflictError, DatabaseFaultError, LimitReachedError, UnavailableError
from models.batches import Batches
from models.database import Database
from models.rate_counters import Claim, claim_all

_MINUTE_S: Final = 60.0
# Of what a minute has left, this part is claimed at once: a busy caller costs few writes, and near the limit the
# claims shrink to one, so that processes take little from each other.
_CLAIMED_PART: Final = 20


@dataclass(slots=True)
class _Window:
    """What this process knows of a subject's minute."""

    left: int  # of the limit, by all that is known
    permits: int = 0  # claimed and not yet used
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class RequestRate:
    """Requests per subject and minute, shared by all processes. Never more than allowed; with several processes
    a few less, where one holds claims that it does not use.

    When the database is away or takes no writes, each process counts by itself until the minute is over.
    """

    def __init__(self, db: Database, per_minute: int, *, now: Callable[[], float] = time) -> None:
        self._db = db
        self._per_minute = per_minute
        self._now = now
        self._minute = 0
        self._windows: dict[str, _Window] = {}
        self._claims: Batches[tuple[Claim, int], int] = Batches(db.turn, self._claimed)

    async def admit(self, subject: str) -> None:
        """Count one request of a caller (or of an address, for who has no name yet)."""
        window = self._window(subject)
        if not window.permits and window.left > 0:
            async with window.turn:  # of many at once, one asks the database
                if not window.permits and window.left > 0:
                    await self._claim(subject, window)
        if not window.permits:
            raise LimitReachedError("requestsPerMinute", self._per_minute, _MINUTE_S - self._now() % _MINUTE_S)
        window.permits -= 1

    def _window(self, subject: str) -> _Window:
        minute = int(self._now() // _MINUTE_S)
        if minute != self._minute:
            self._minute = minute
            self._windows.clear()
        return self._windows.setdefault(subject, _Window(left=self._per_minute))

    async def _claim(self, subject: str, window: _Window) -> None:
        wanted = max(1, window.left // _CLAIMED_PART)
        try:
            count = await self._claims.get(((self._minute, subject), wanted))
        except (UnavailableError, DatabaseFaultError, ConflictError):  # counting is not worth a refusal
            count = None
        if count is None:
            window.permits, window.left = window.left, 0
            return
        window.permits = max(0, wanted - max(0, count - self._per_minute))
        window.left = max(0, self._per_minute - count)

    async def _claimed(self, wanted: list[tuple[Claim, int]]) -> dict[tuple[Claim, int], int]:
        counts = await claim_all(self._db, dict(wanted))
        return {one: counts[one[0]] for one in wanted}


class SocketsPerCaller:
    """Sockets that callers hold open at this process."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._open: Counter[str] = Counter()

    @contextmanager
    def held(self, caller_id: str) -> Iterator[None]:
        """For as long as the socket is open. Raises before the body runs."""
        if self._open[caller_id] >= self._allowed:
            raise LimitReachedError("socketsPerCaller", self._allowed)
        self._open[caller_id] += 1
        try:
            yield
        finally:
            self._open[caller_id] -= 1
            if not self._open[caller_id]:
                del self._open[caller_id]


class MessageRate:
    """Messages of one socket: `per_minute` in the long run, a sixth of that at once."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._per_minute = per_minute
        self._most = max(1.0, per_minute / 6)
        self._clock = clock
        self._left = self._most
        self._at = clock()

    def admit(self) -> None:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_minute / _MINUTE_S)
        self._at = now
        if self._left < 1:
            missing = 1 - self._left
            raise LimitReachedError("messagesPerMinute", self._per_minute, missing * _MINUTE_S / self._per_minute)
        self._left -= 1
