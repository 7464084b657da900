"""One call for all who ask for something of the same kind while the call waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Final, Generic, TypeVar

from errors import UnavailableError

K = TypeVar("K")
V = TypeVar("V")
_MOST: Final = 100  # SecantusDB looks for n keys in a time that grows with the square of n
_WOKEN_AT_ONCE: Final = 25


class Batches(Generic[K, V]):
    """Look keys up in batches. What is answered was read after it was asked for, and a caller that is cancelled
    cancels nothing for the others."""

    def __init__(
        self,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        look_up: Callable[[list[K]], Awaitable[Mapping[K, V]]],
        most: int = _MOST,
    ) -> None:
        """`turn` is held around each call of `look_up`, which may leave keys out: these are answered with None."""
        self._turn = turn
        self._look_up = look_up
        self._most = most
        self._wanted: dict[K, list[asyncio.Future[V | None]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        return await self._ask(key)

    async def get_all(self, keys: Iterable[K]) -> dict[K, V]:
        """Those that were found."""
        asked = {key: self._ask(key) for key in keys}
        answers = {key: await future for key, future in asked.items()}
        return {key: answer for key, answer in answers.items() if answer is not None}

    def _ask(self, key: K) -> asyncio.Future[V | None]:
        """The future is this asker's own: its cancellation is nobody else's."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        if key not in self._wanted:
            self._wanted[key] = []
            if len(self._wanted) % self._most == 1 or self._most == 1:
                self._begin()
        self._wanted[key].append(future)
        return future

    def _begin(self) -> None:
        # In a context of its own: whoever asked first may hold a turn, or be in a transaction.
        task = asyncio.create_task(self._answer(), context=Context())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self) -> None:
        asked: dict[K, list[asyncio.Future[V | None]]] = {}
        try:
            async with self._turn():
                asked = self._take()
                found = await self._found(list(asked))
        except asyncio.CancelledError:
            for futures in (asked or self._take()).values():
                for future in futures:
                    future.cancel()
            raise
        except Exception as error:  # those who asked are told of it
            asked, found = asked or self._take(), {}
            found = dict.fromkeys(asked, error)
        await _tell(asked, found)

    def _take(self) -> dict[K, list[asyncio.Future[V | None]]]:
        keys = list(self._wanted)[: self._most]
        return {key: self._wanted.pop(key) for key in keys}

    async def _found(self, keys: list[K]) -> Mapping[K, V | Exception]:
        try:
            return await self._look_up(keys)
        except UnavailableError:
            raise
        except Exception:
            if len(keys) == 1:
                raise
            return {key: answer for key in keys if (answer := await self._found_alone(key)) is not None}

    async def _found_alone(self, key: K) -> V | Exception | None:
        """A key that cannot be looked up is a fault for its own askers alone."""
        try:
            return (await self._look_up([key])).get(key)
        except Exception as error:  # those who asked are told of it
            return error


async def _tell(asked: Mapping[K, list[asyncio.Future[V | None]]], found: Mapping[K, V | Exception]) -> None:
    """Wake those who asked, some at a time: a loop that goes through a thousand of them at once keeps calls that are
    under way waiting beyond their time limits."""
    woken = 0
    for key, futures in asked.items():
        for future in futures:
            _settle(future, found.get(key))
            woken += 1
            if woken % _WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)


def _settle(future: asyncio.Future[V | None], answer: V | Exception | None) -> None:
    if future.done():  # cancelled by its asker
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
        future.exception()  # looked at, though its asker may have gone
    else:
        future.set_result(answer)
