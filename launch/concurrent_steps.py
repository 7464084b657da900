"""Work of a workflow in parallel, and to its end whatever cancels come in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import (
    is_cancelled_exception,
)

T = TypeVar("T")


async def run_together(*works: Coroutine[Any, Any, object]) -> None:
    """Run all in parallel. The first failure, or a cancel, ends the others; all have ended when this returns."""
    running = [asyncio.create_task(work) for work in works]
    try:
        await workflow.wait(running, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end_all(running)
    failures = [error for task in running if not task.cancelled() and (error := task.exception()) is not None]
    if failures:
        raise next((error for error in failures if not is_cancelled_exception(error)), failures[0])


async def _end_all(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Cancel tasks and wait until all have ended, whatever cancels come in between."""
    for task in tasks:
        task.cancel()
    while not all(task.done() for task in tasks):
        with contextlib.suppress(asyncio.CancelledError):
            await workflow.wait(tasks)
    for task in tasks:
        _ = None if task.cancelled() else task.exception()  # retrieved, so that none is reported as lost


async def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for this work, whatever cancels come in between."""
    working = asyncio.ensure_future(work)
    while not working.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(working)
    return working.result()
