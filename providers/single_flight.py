"""One upstream call for everybody who wants the same answer at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from errors import UnavailableError

T = TypeVar("T")
Depart = Callable[[], None]


class SingleFlight(Generic[T]):
    """All who ask while a call is under way get its answer, and for `keep_s` afterwards all who ask later.

    The call is handed a function to say that its question has left. From then on nobody joins it any more: who asks
    later wants to know of things that happened later. A call that never says so can be joined until it ends.
    A failure goes to those who waited for it and is not kept. A waiter that is cancelled does not end the call.
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
        await asyncio.wait(
            [task]
        )  # unlike an await of the task, it leaves the task alone when this waiter is cancelled
        if task.cancelled():
            raise UnavailableError("what was asked for was interrupted: ask again")
        return task.result()

    async def close(self) -> None:
        """End what is under way; those who wait for it get UnavailableError."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> asyncio.Task[T]:
        task = asyncio.create_task(self._run())
        self._joinable = task
        self._under_way.add(task)
        task.add_done_callback(self._ended)
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

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._under_way.discard(task)
        if self._joinable is task:
            self._joinable = None
        if not task.cancelled():
            task.exception()  # looked at, though every waiter may have gone
