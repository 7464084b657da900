"""Lines about work in progress, from inside an activity to the workflow that waits for it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from temporalio import activity

from providers.base import Tell

log = logging.getLogger(__name__)

NOTE_SIGNAL: Final = "note"
_LINES_PER_ACTIVITY: Final = 40


def told_to_workflow() -> Tell:
    """A `Tell` that signals each new line to the workflow of the activity it is made in.

    Repeated lines and those beyond a bound are dropped: a player reads phases, not logs. A signal that fails is
    dropped too; progress is never worth a failed step.
    """
    workflow_id = activity.info().workflow_id
    assert workflow_id is not None, "told_to_workflow is for activities of a workflow"
    workflow = activity.client().get_workflow_handle(workflow_id)
    told: set[str] = set()
    sending: set[asyncio.Task[None]] = set()
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
