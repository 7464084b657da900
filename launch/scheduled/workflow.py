"""Starts scheduled launches: a round every half minute, on one of the workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.client import Client

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from launch.scheduled.messages import StartRound
    from launch.scheduled.starting import StartingScheduled

START_SCHEDULED: Final = "StartScheduledLaunches"
_EVERY: Final = timedelta(seconds=30)


@workflow.defn(name=START_SCHEDULED)
class StartScheduledWorkflow:
    @workflow.run
    async def run(self) -> int:
        """Return the number of plans that were started or failed."""
        return await workflow.execute_activity_method(
            StartingScheduled.start_due,
            StartRound(),
            schedule_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=10),
        )


async def ensure_start_schedule(client: Client, task_queue: str, every: timedelta = _EVERY) -> None:
    """Create the schedule. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, START_SCHEDULED, every)
