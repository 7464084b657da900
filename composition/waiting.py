"""Waits for what a process depends on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from errors import UnavailableError, UnusableError

T = TypeVar("T")
_AGAIN_S: Final = 2.0
_REASONS: Final[dict[str, str]] = {}  # why each unavailable dependency cannot be used
log = logging.getLogger("server")


async def retry_until_available(attempt: Callable[[], Awaitable[T]], dependency: str) -> T:
    """Retry until the dependency is available. Log the reason whenever it changes, once for all that wait."""
    while True:
        try:
            outcome = await attempt()
            _REASONS.pop(dependency, None)
            return outcome
        except UnavailableError as error:
            why = error.fault if isinstance(error, UnusableError) else error.message
            if why != _REASONS.get(dependency):
                log.warning("dependency unavailable, retrying", extra={"dependency": dependency, "why": why})
            _REASONS[dependency] = why
            await asyncio.sleep(_AGAIN_S)
