"""Builds long lists in parts: the executor completes a plain list at once, during which nothing else runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar, cast

S = TypeVar("S")
T = TypeVar("T")
_AT_ONCE: Final = 100


def unhurried(items: Sequence[S], shown: Callable[[S], T]) -> list[T]:
    """Return the items as they are shown.

    A long list is an asynchronous iterator that lets other work run between its parts; the executor accepts it.
    """
    if len(items) <= _AT_ONCE:
        return [shown(item) for item in items]
    return cast(Any, _in_parts(items, shown))  # type: ignore[no-any-return]


async def _in_parts(items: Sequence[S], shown: Callable[[S], T]) -> AsyncIterator[T]:
    for number, item in enumerate(items, 1):
        yield shown(item)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
