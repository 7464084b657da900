"""Readiness that is noticed at once: a machine is asked again within a quarter of a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from errors import ProviderBusyError

T = TypeVar("T")

PAUSE_S: Final = 0.2


async def repeat(work: Callable[[], Awaitable[T]], within_s: float) -> T:
    """Repeat what the machine is not ready for, at least once, and for so long. Raises what the last try raised."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        try:
            return await work()
        except ProviderBusyError:
            if asyncio.get_running_loop().time() >= deadline:
                raise
        await asyncio.sleep(PAUSE_S)
