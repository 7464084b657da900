"""Limits how many requests begin in one round of the event loop; the rest begin in later rounds, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

_PER_ROUND: Final = 16


class Pace:
    """Keeps the rounds of the event loop short.

    A round with a thousand requests takes seconds, and a database call takes several rounds: it would time out although
    the database has responded.
    """

    def __init__(self, per_round: int = _PER_ROUND) -> None:
        self._per_round = per_round
        self._begun = 0  # in this round
        self._armed = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def step(self) -> None:
        """Return at once, or in a later round if enough requests have begun in this one."""
        if self._begun < self._per_round and not self._waiting:
            self._begun += 1
            self._arm()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._arm()
        await turn

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._begun, self._armed = 0, False
        while self._waiting and self._begun < self._per_round:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled while it waited
                turn.set_result(None)
                self._begun += 1
        if self._begun:
            self._arm()
