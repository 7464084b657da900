"""Lines about work in progress, from inside an activity to the workflow that waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

from temporalio import activity

from providers.base import Tell

log = logging.getLogger(__name__)

NOTE_SIGNAL: Final = "note"
_LINES_PER_ACTIVITY: Final = 40
_LAST_LINES_S: Final = 3.0

_sending: ContextVar[set[asyncio.Task[None]] | None] = ContextVar("lines on their way", default=None)


@asynccontextmanager
async def lines_first() -> AsyncIterator[None]:
    """What is told within the body has reached the workflow before the body's outcome does."""
    sending: set[asyncio.Task[None]] = set()
    token = _sending.set(sending)
    try:
        yield
    finally:
        _sending.reset(token)
        if sending:
            await asyncio.wait(set(sending), timeout=_LAST_LINES_S)


def told_to_workflow() -> Tell:
    """A `Tell` that signals each new line to the workflow of the activity it is made in. Within `lines_first` they
    are waited for.

    Repeated lines and those beyond a bound are dropped: a player reads phases, not logs. A signal that fails is
    dropped too; progress is never worth a failed step.
    """
    workflow_id = activity.info().workflow_id
    assert workflow_id is not None, "told_to_workflow is for activities of a workflow"
    workflow = activity.client().get_workflow_handle(workflow_id)
    told: set[str] = set()
    awaited = _sending.get()
    sending: set[asyncio.Task[None]] = set() if awaited is None else awaited
    turn = asyncio.Lock()

    async def send(line: str) -> None:
        async with turn:
            try:
                await workflow.signal(NOTE_SIGNAL, line)
            except Exception:
                log.warning("a line of progress could not be told", exc_info=True)

    def tell(line: str) -> None:
        if line in told or len(told) >= _LINES_PER_ACTIVITY:
            return
        told.add(line)
        task = asyncio.ensure_future(send(line[:200]))
        sending.add(task)
        task.add_done_callback(sending.discard)

    return tell
