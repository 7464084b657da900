"""Turns stray cancellations into errors: a shared future was cancelled because of another task that awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class StrayCancellationError(Exception):
    """An awaited future was cancelled, but the task that awaits it was not."""


@contextmanager
def strays_as_errors() -> Iterator[None]:
    """Raise StrayCancellationError for a CancelledError in a task that was not cancelled; let any other one pass."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise StrayCancellationError("an awaited future was cancelled by another task") from error
