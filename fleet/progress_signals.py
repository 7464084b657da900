"""Sends progress lines from inside an activity to the workflow that waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

from temporalio import activity

from fleet.messages import ActivityNote
from providers.base import ProgressCallback

log = logging.getLogger(__name__)

NOTE_SIGNAL: Final = "activity_note"
# Builds before launches ran steps in parallel sent the line alone.
EARLIER_NOTE_SIGNAL: Final = "note"
EARLIER_TROUBLE_SIGNAL: Final = "trouble"
_LINES_PER_ACTIVITY: Final = 80
_TICK_S: Final = 30.0
_LAST_LINES_S: Final = 3.0

_sending: ContextVar[set[asyncio.Task[None]] | None] = ContextVar("lines on their way", default=None)
_ticking: ContextVar[set[asyncio.Task[None]] | None] = ContextVar("clocks of long work", default=None)


@asynccontextmanager
async def deliver_lines_first() -> AsyncIterator[None]:
    """Deliver lines sent within the body to the workflow before the body's result."""
    sending: set[asyncio.Task[None]] = set()
    ticking: set[asyncio.Task[None]] = set()
    tokens = _sending.set(sending), _ticking.set(ticking)
    try:
        yield
    finally:
        _sending.reset(tokens[0])
        _ticking.reset(tokens[1])
        for clock in ticking:
            clock.cancel()
        if sending:
            await asyncio.wait(set(sending), timeout=_LAST_LINES_S)


async def signal_failed_try(line: str) -> None:
    """Signal to this activity's workflow that a try failed and is repeated. A signal that fails is dropped."""
    try:
        async with asyncio.timeout(_LAST_LINES_S):
            info = activity.info()
            note = ActivityNote(info.activity_type, line[:200], failed=True)
            await activity.client().get_workflow_handle(info.workflow_id or "").signal(NOTE_SIGNAL, note)
    except Exception:
        log.warning("failed to signal a failed try", exc_info=True)


def signal_progress() -> ProgressCallback:
    """Return a callback that signals each new line to the workflow of the running activity.

    Within `deliver_lines_first` the signals are awaited. Repeated lines and those beyond a limit are dropped, because
    players read phases, not logs. A signal that fails is dropped too: progress is never worth a failed step. Within
    `deliver_lines_first` the latest line is repeated every half minute, so that the bar moves while a long task prints
    nothing.
    """
    workflow_id, name = activity.info().workflow_id, activity.info().activity_type
    assert workflow_id is not None, "signal_progress must be called in an activity of a workflow"
    workflow = activity.client().get_workflow_handle(workflow_id)
    told: set[str] = set()
    latest = [""]
    awaited = _sending.get()
    sending: set[asyncio.Task[None]] = set() if awaited is None else awaited
    turn = asyncio.Lock()

    async def send(line: str) -> None:
        async with turn:
            try:
                await workflow.signal(NOTE_SIGNAL, ActivityNote(name, line))
            except Exception:
                log.warning("failed to signal progress", exc_info=True)

    async def tick() -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await send(latest[-1])

    def report(line: str) -> None:
        if line in told or len(told) >= _LINES_PER_ACTIVITY:
            return
        if not told and (ticking := _ticking.get()) is not None:
            ticking.add(asyncio.ensure_future(tick()))
        told.add(line)
        latest[-1] = line[:200]
        task = asyncio.ensure_future(send(line[:200]))
        sending.add(task)
        task.add_done_callback(sending.discard)

    return report
