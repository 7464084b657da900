"""Cancellations that nobody asked for: of something that was shared, by someone else who waited for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class StrayCancellationError(Exception):
    """Something that an answer waited for was cancelled, and the task that waited was not."""


@contextmanager
def strays_as_errors() -> Iterator[None]:
    """Raise StrayCancellationError for a CancelledError in a task that was not cancelled; let any other one pass."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise StrayCancellationError("a cancellation that nobody asked for") from error
