"""Limits concurrent database calls, so that a crowd waits in order instead of failing all at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from errors import UnavailableError


class Turns:
    """Allows a number of concurrent calls and queues the others.

    A wait ends with UnavailableError if no call succeeded for `silence_s`: the database does not respond. While it
    responds, a wait may last `longest_s`. Time in which the event loop was blocked does not count, because no response
    could be read then.
    """

    def __init__(self, at_once: int, silence_s: float, longest_s: float) -> None:
        self._free = at_once
        self._at_once = at_once
        self._silence_s = silence_s
        self._longest_s = longest_s
        self._waiting: deque[_Wait] = deque()
        self._answered_at = 0.0
        self._tick_s = min(_TICK_S, silence_s / 10)
        self._ticked_at: float | None = None  # loop time; None while no call is running
        self._clock_s = 0.0  # advances while calls are running and the loop is not blocked
        self.stalled_s = 0.0  # total time for which the loop was blocked

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn while the body runs. A turn within another turn is part of that one."""
        if _HELD.get():
            yield
            return
        await self._take()
        token = _HELD.set(True)
        try:
            yield
            self._answered_at = self._clock_s
        finally:
            _HELD.reset(token)
            self._give_back()

    async def _take(self) -> None:
        self._run_clock()
        if self._free:
            self._free -= 1
            return
        wait = _Wait(asyncio.get_running_loop().create_future(), self._clock_s)
        self._waiting.append(wait)
        try:
            await wait.turn
        except BaseException:
            if wait.given:
                self._give_back()
            elif wait in self._waiting:
                self._waiting.remove(wait)
            raise

    def _give_back(self) -> None:
        while self._waiting:
            wait = self._waiting.popleft()
            if not wait.turn.done():
                wait.given = True
                wait.turn.set_result(None)
                return
        self._free += 1

    def _run_clock(self) -> None:
        if self._ticked_at is None:
            loop = asyncio.get_running_loop()
            self._ticked_at = loop.time()
            loop.call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._ticked_at is not None
        passed_s = loop.time() - self._ticked_at
        counted_s = min(passed_s, 2 * self._tick_s)
        self._clock_s += counted_s
        self.stalled_s += passed_s - counted_s
        self._end_waits()
        if self._free == self._at_once:
            self._ticked_at = None
        else:
            self._ticked_at = loop.time()
            loop.call_later(self._tick_s, self._tick)

    def _end_waits(self) -> None:
        while self._waiting:
            begun = self._waiting[0].begun
            silent_s, waited_s = self._clock_s - max(begun, self._answered_at), self._clock_s - begun
            if silent_s < self._silence_s and waited_s < self._longest_s:
                return
            ended = self._waiting.popleft().turn
            if not ended.done():
                ended.set_exception(UnavailableError("the database does not respond"))


@dataclass(eq=False, slots=True)
class _Wait:
    turn: asyncio.Future[None]
    begun: float  # by the clock of Turns
    given: bool = False


_TICK_S: Final = 0.25
_HELD: Final = ContextVar("_HELD", default=False)
