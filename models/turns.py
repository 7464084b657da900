"""How many calls to the database are under way at once. A crowd waits in order, instead of failing all at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Final

from errors import UnavailableError


class Turns:
    """Let so many calls be under way at once, and the others wait in the order in which they came.

    A wait ends with UnavailableError when no call was answered for `silence_s`: then the database does not answer.
    While it answers, a wait may last `longest_s`.
    """

    def __init__(self, at_once: int, silence_s: float, longest_s: float) -> None:
        self._free = at_once
        self._silence_s = silence_s
        self._longest_s = longest_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answered_at = 0.0

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
            self._answered_at = monotonic()
        finally:
            _HELD.reset(token)
            self._give_back()

    async def _take(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await self._come_up(turn)
        except BaseException:
            if turn.done():
                self._give_back()
            else:
                self._waiting.remove(turn)
            raise

    async def _come_up(self, turn: asyncio.Future[None]) -> None:
        begun = monotonic()
        while not turn.done():
            silent_at = max(begun, self._answered_at) + self._silence_s
            left_s = min(silent_at, begun + self._longest_s) - monotonic()
            if left_s <= 0:
                raise UnavailableError("the database does not answer")
            await asyncio.wait([turn], timeout=left_s)

    def _give_back(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1


_HELD: Final = ContextVar("_HELD", default=False)
