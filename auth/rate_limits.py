"""Limits of requests, sockets and messages. Each raises LimitReachedError."""

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
# Claiming a fraction of the remaining minute at once saves writes for busy callers; near the limit claims shrink to
# one, so that processes take little from each other.
_CLAIMED_PART: Final = 20


@dataclass(slots=True)
class _Window:
    """A subject's current minute, as this process knows it."""

    left: int  # remaining requests, as far as known
    permits: int = 0  # claimed and not yet used
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class RequestRate:
    """Limits requests per subject and minute across all processes.

    The limit is never exceeded. With several processes a few requests less may be allowed, because a process may hold
    claims that it does not use. While the database is unavailable or rejects writes, each process counts by itself
    until the minute is over.
    """

    def __init__(self, db: Database, per_minute: int, *, now: Callable[[], float] = time) -> None:
        self._db = db
        self._per_minute = per_minute
        self._now = now
        self._minute = 0
        self._windows: dict[str, _Window] = {}
        self._claims: Batches[tuple[Claim, int], int] = Batches(db.turn, self._claim_all)

    async def admit(self, subject: str) -> None:
        """Count one request of a caller, or of an address if the caller is not known yet."""
        window = self._window(subject)
        if not window.permits and window.left > 0:
            async with window.turn:  # of several concurrent requests, one queries the database
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
        except (UnavailableError, DatabaseFaultError, ConflictError):  # a failed count is no reason to reject a request
            count = None
        if count is None:
            window.permits, window.left = window.left, 0
            return
        window.permits = max(0, wanted - max(0, count - self._per_minute))
        window.left = max(0, self._per_minute - count)

    async def _claim_all(self, wanted: list[tuple[Claim, int]]) -> dict[tuple[Claim, int], int]:
        counts = await claim_all(self._db, dict(wanted))
        return {one: counts[one[0]] for one in wanted}


class SocketsPerCaller:
    """Limits the sockets that a caller keeps open in this process."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._open: Counter[str] = Counter()

    @contextmanager
    def hold(self, caller_id: str) -> Iterator[None]:
        """Count a socket while it is open. Raises before the body runs."""
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
    """Limits the messages of one socket to `per_minute`, with bursts of a sixth of that."""

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
