"""How many calls to the database are under way at once. A crowd waits in order, instead of failing all at once."""

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
    """Let so many calls be under way at once, and the others wait in the order in which they came.

    A wait ends with UnavailableError when no call was answered for `silence_s`: then the database does not answer.
    While it answers, a wait may last `longest_s`. Time in which the event loop was busy does not count: no answer could
    be taken then.
    """

    def __init__(self, at_once: int, silence_s: float, longest_s: float) -> None:
        self._free = at_once
        self._at_once = at_once
        self._silence_s = silence_s
        self._longest_s = longest_s
        self._waiting: deque[_Wait] = deque()
        self._answered_at = 0.0
        self._tick_s = min(_TICK_S, silence_s / 10)
        self._ticked_at: float | None = None  # of the loop; None while nothing is under way
        self._clock_s = 0.0  # runs while something is under way, and stands still while the loop is busy
        self.stalled_s = 0.0  # for how long the loop was busy, in all

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn while the body runs. Within another turn, the body is part of that one."""
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
                ended.set_exception(UnavailableError("the database does not answer"))


@dataclass(eq=False, slots=True)
class _Wait:
    turn: asyncio.Future[None]
    begun: float  # by the clock of the turns
    given: bool = False


_TICK_S: Final = 0.25
_HELD: Final = ContextVar("_HELD", default=False)
