"""Shares one upstream call among callers that want the same result at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from errors import UnavailableError

T = TypeVar("T")
Depart = Callable[[], None]


class SingleFlight(Generic[T]):
    """Callers that arrive during a call share its result, and so do later ones for `keep_s`.

    The call receives a function that marks the moment when its request is sent. Callers that arrive after it start a
    new call, because they want to see later changes. A call that never marks the moment can be joined until it ends. A
    failure reaches everyone waiting for it and is not kept. Cancelling a waiter does not end the call.
    """

    def __init__(self, call: Callable[[Depart], Awaitable[T]], keep_s: float = 0.0) -> None:
        self._call = call
        self._keep_s = keep_s
        self._joinable: asyncio.Task[T] | None = None
        self._under_way: set[asyncio.Task[T]] = set()
        self._kept: tuple[float, T] | None = None

    async def get(self) -> T:
        if self._kept is not None and monotonic() < self._kept[0]:
            return self._kept[1]
        task = self._joinable or self._begin()
        await asyncio.wait([task])  # unlike `await task`, this leaves the task alone when the waiter is cancelled
        if task.cancelled():
            raise UnavailableError("the request was interrupted: try again")
        return task.result()

    async def close(self) -> None:
        """Cancel running calls; their waiters get UnavailableError."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> asyncio.Task[T]:
        task = asyncio.create_task(self._run())
        self._joinable = task
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return task

    async def _run(self) -> T:
        mine = asyncio.current_task()

        def depart() -> None:
            if self._joinable is mine:
                self._joinable = None

        answer = await self._call(depart)
        if self._keep_s > 0:
            self._kept = (monotonic() + self._keep_s, answer)
        return answer

    def _forget(self, task: asyncio.Task[T]) -> None:
        self._under_way.discard(task)
        if self._joinable is task:
            self._joinable = None
        if not task.cancelled():
            task.exception()  # marks the exception as retrieved, even if every waiter has gone
