"""Keeps one activity of a machine's workflow open that waits for notices from the machine's cloud."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from fleet.interruptions import InterruptionActivities, NoticeSeen, NoticeWait
    from fleet.unlimited_retries import ENDLESS

_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=10)
)
_BEAT: Final = timedelta(seconds=20)


class NoticeListener:
    """At most one open connection to one machine. A lost connection is opened again by the activity's retries."""

    def __init__(self) -> None:
        self._waiting: asyncio.Task[None] | None = None
        self._seen: NoticeSeen | None = None

    @property
    def has_notice(self) -> bool:
        """Return whether a notice has arrived and was not taken yet."""
        return self._seen is not None

    def start(self, vm_id: str) -> None:
        """Start to listen, unless it listens already."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._listen(vm_id))

    def take(self) -> NoticeSeen:
        """Return the notice that has arrived, once."""
        assert self._seen is not None, "a notice has arrived"
        seen, self._seen = self._seen, None
        return seen

    async def stop(self) -> None:
        """Close the connection, and forget a notice that was not taken: the machine is being stopped."""
        if (waiting := self._waiting) is not None:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        self._waiting, self._seen = None, None

    async def _listen(self, vm_id: str) -> None:
        try:
            seen: NoticeSeen = await workflow.execute_activity_method(
                InterruptionActivities.await_notice,
                NoticeWait(vm_id),
                schedule_to_close_timeout=ENDLESS,
                heartbeat_timeout=_BEAT,
                retry_policy=_RETRY,
                cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
            )
            if seen.notice is not None:
                self._seen = seen
        except ActivityError:
            return  # the next regular check starts it again
        finally:
            self._waiting = None
