"""Combines lookups of the same kind into one call while that call waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Final, Generic, TypeVar

from errors import UnavailableError

K = TypeVar("K")
V = TypeVar("V")
_MOST: Final = 100  # SecantusDB's time to look up n keys grows with the square of n
_WOKEN_AT_ONCE: Final = 25


class Batches(Generic[K, V]):
    """Looks keys up in batches.

    A value is read after its request. Cancelling one caller does not affect the others.
    """

    def __init__(
        self,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        look_up: Callable[[list[K]], Awaitable[Mapping[K, V]]],
        most: int = _MOST,
    ) -> None:
        """Set up a batcher.

        `turn` is held around each call of `look_up`. Keys that `look_up` leaves out get None.
        """
        self._turn = turn
        self._look_up = look_up
        self._most = most
        self._wanted: dict[K, list[asyncio.Future[V | None]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        return await self._request(key)

    async def get_all(self, keys: Iterable[K]) -> dict[K, V]:
        """Return the values that were found."""
        asked = {key: self._request(key) for key in keys}
        answers = {key: await future for key, future in asked.items()}
        return {key: answer for key, answer in answers.items() if answer is not None}

    def _request(self, key: K) -> asyncio.Future[V | None]:
        """Return a future of this caller alone, so that cancelling it affects no other."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        if key not in self._wanted:
            self._wanted[key] = []
            if len(self._wanted) % self._most == 1 or self._most == 1:
                self._start_batch()
        self._wanted[key].append(future)
        return future

    def _start_batch(self) -> None:
        # In a new context: the first caller may hold a turn, or be in a transaction.
        task = asyncio.create_task(self._run_batch(), context=Context())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _run_batch(self) -> None:
        asked: dict[K, list[asyncio.Future[V | None]]] = {}
        try:
            async with self._turn():
                asked = self._take()
                found = await self._look_up_batch(list(asked))
        except asyncio.CancelledError:
            for futures in (asked or self._take()).values():
                for future in futures:
                    future.cancel()
            raise
        except Exception as error:  # passed on to the callers
            asked, found = asked or self._take(), {}
            found = dict.fromkeys(asked, error)
        await _resolve_all(asked, found)

    def _take(self) -> dict[K, list[asyncio.Future[V | None]]]:
        keys = list(self._wanted)[: self._most]
        return {key: self._wanted.pop(key) for key in keys}

    async def _look_up_batch(self, keys: list[K]) -> Mapping[K, V | Exception]:
        try:
            return await self._look_up(keys)
        except UnavailableError:
            raise
        except Exception:
            if len(keys) == 1:
                raise
            return {key: answer for key in keys if (answer := await self._look_up_alone(key)) is not None}

    async def _look_up_alone(self, key: K) -> V | Exception | None:
        """Look up one key by itself, so that a key with an error affects its own callers only."""
        try:
            return (await self._look_up([key])).get(key)
        except Exception as error:  # passed on to the callers
            return error


async def _resolve_all(asked: Mapping[K, list[asyncio.Future[V | None]]], found: Mapping[K, V | Exception]) -> None:
    """Resolve the futures in small groups.

    Resolving a thousand at once would keep running calls waiting beyond their time limits.
    """
    woken = 0
    for key, futures in asked.items():
        for future in futures:
            _resolve(future, found.get(key))
            woken += 1
            if woken % _WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)


def _resolve(future: asyncio.Future[V | None], answer: V | Exception | None) -> None:
    if future.done():  # cancelled by its caller
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
        future.exception()  # marks the exception as retrieved, even if its caller has gone
    else:
        future.set_result(answer)
