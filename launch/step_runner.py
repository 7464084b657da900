"""Runs the activities of a launch's steps, and writes what they do to its record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from fleet.unlimited_retries import ENDLESS
    from launch.progress import ProgressUpdate, WriteResult
    from launch.progress_activities import ProgressActivities
    from launch.step_limits import BEGINNINGS, CREATE_TIME, STEP_TIME
    from launch.step_tracking import StepTracking
    from models.launches import ENDED, LaunchStatus, LaunchStepName, StepStatus
    from providers.base import ProviderName

T = TypeVar("T")
Input = TypeVar("Input")

HEARTBEAT_TIMEOUT: Final = timedelta(seconds=5)
_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=5)
)
_NOTE_TIME: Final = timedelta(seconds=20)


class CancelledByPlayerError(Exception):
    """The record is CANCELLING, or Temporal received a cancel: leave, with compensation on the way out."""


class FailedError(Exception):
    """The launch cannot become ready; the text gives the reason for the player."""


class StepRunner:
    """What a LaunchWorkflow has done so far; `failed` is the first step that failed."""

    def __init__(self) -> None:
        self.launch_id = ""
        self.patience = 1.0
        self.steps = StepTracking()
        self.step: LaunchStepName | None = None  # the last one that began
        self.failed: LaunchStepName | None = None  # the first one that failed
        self._sequence = 0
        self._pen = asyncio.Lock()

    async def write_line(self, step: LaunchStepName, line: str, *, failed: bool = False) -> None:
        """Write a progress line of a step, or that a try failed."""
        self.steps.move_on(workflow.now())
        if not failed:
            await self.write_event(LaunchStatus.RUNNING, line, step, StepStatus.RUNNING)
            return
        self.steps.note_trouble(step)
        line = f"{BEGINNINGS[step]}: an attempt failed and is being repeated. {line}"
        await self.write_event(LaunchStatus.RUNNING, line, step, StepStatus.RUNNING, trouble=line)

    async def do_step(
        self,
        step: LaunchStepName,
        work: Callable[[Any, Input], Awaitable[T]],
        message: Input,
        words: Callable[[T], str],
    ) -> T:
        """Run a step and write its beginning and end; a cancel that arrived in between takes effect."""
        await self.begin(step)
        result = await self.run_step(step, work, message)
        await self.finish(step, words(result))
        return result

    async def run_step(
        self,
        step: LaunchStepName,
        work: Callable[[Any, Input], Awaitable[T]],
        message: Input,
        extra: timedelta = timedelta(0),
    ) -> T:
        """Run an activity of this step, and remember the step if it is the first that fails.

        `extra` is added to the step's time limit.
        """
        try:
            return await self.run(work, message, time=self.time_of(step) + extra)
        except ActivityError as error:
            if self.failed is None and not is_cancelled_exception(error):
                self.failed = step
            raise

    async def begin(self, step: LaunchStepName) -> None:
        """Write that a step begins."""
        self.step = step
        self.steps.begin(step, workflow.now())
        self.check_cancelled(
            await self.write_event(LaunchStatus.RUNNING, BEGINNINGS[step], step, StepStatus.RUNNING, begins=True)
        )

    async def finish(self, step: LaunchStepName, message: str, **more: Any) -> None:
        """Write that a step is done. `more` are further fields of the progress update."""
        trouble = "" if self.steps.finish(step, workflow.now()) else None
        self.check_cancelled(
            await self.write_event(LaunchStatus.RUNNING, message, step, StepStatus.DONE, trouble=trouble, **more)
        )

    async def skip(self, step: LaunchStepName, message: str, vm_id: str | None = None) -> None:
        """Write that this step is not needed; `vm_id` is the machine that the launch uses."""
        self.steps.finish(step, workflow.now())
        self.check_cancelled(
            await self.write_event(LaunchStatus.RUNNING, message, step, StepStatus.SKIPPED, vm_id=vm_id)
        )

    def check_cancelled(self, written: WriteResult) -> None:
        """Raise CancelledByPlayerError or FailedError if the launch is to end."""
        if written.status in ENDED:
            raise FailedError("it was abandoned before it started")
        # A cancel that arrives while an activity is finishing raises nothing, so it is checked for.
        if written.status is LaunchStatus.CANCELLING or workflow.cancellation_reason() is not None:
            raise CancelledByPlayerError

    async def write_event(
        self,
        status: LaunchStatus,
        message: str,
        step: LaunchStepName | None = None,
        step_status: StepStatus | None = None,
        **more: Any,
    ) -> WriteResult:
        """Write the next event. Shielded from cancellation, so that no event is half written."""
        return await asyncio.shield(self._write(status, message, step, step_status, more))

    async def _write(
        self,
        status: LaunchStatus,
        message: str,
        step: LaunchStepName | None,
        step_status: StepStatus | None,
        more: dict[str, Any],
    ) -> WriteResult:
        async with self._pen:
            note = ProgressUpdate(
                launch_id=self.launch_id,
                sequence=self._sequence + 1,
                at=workflow.now(),
                status=status,
                message=message[:500],
                step=step,
                step_status=step_status,
                **{"progress": self.steps.progress, **more},
            )
            written: WriteResult = await self.record(ProgressActivities.write_progress, note)
            if written.accepted:
                self._sequence += 1
            return written

    async def record(self, work: Callable[[Any, Input], Awaitable[T]], message: Input) -> T:
        """Run an activity that the records need, for as long as the database is unavailable."""
        return await self.run(work, message, time=ENDLESS, attempt_time=_NOTE_TIME)

    async def run(
        self,
        work: Callable[[Any, Input], Awaitable[T]],
        message: Input,
        *,
        time: timedelta,
        attempt_time: timedelta | None = None,
    ) -> T:
        """Run an activity within `time`, with all retries; each attempt within `attempt_time`."""
        result: T = await workflow.execute_activity_method(
            work,
            message,
            schedule_to_close_timeout=time,
            start_to_close_timeout=attempt_time or time,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRY,
            # A create that may still be running must have ended before its undo begins.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return result

    def time_of(self, step: LaunchStepName) -> timedelta:
        """Return the time limit of a step with all retries."""
        return STEP_TIME[step] * self.patience

    def create_time(self, provider: ProviderName) -> timedelta:
        """Return the time limit for renting a machine of this provider."""
        return CREATE_TIME.get(provider, STEP_TIME[LaunchStepName.CREATE_VM]) * self.patience
