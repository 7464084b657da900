"""What happens by the clock: schedules that the engine keeps, so that one replica of many does the work."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client

with workflow.unsafe.imports_passed_through():
    from billing.schedules import ensure_schedule
    from fleet.sweeper import Sweeper

SWEEP: Final = "Sweep"


class Sweeping:
    """The sweeper as an activity."""

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper

    @activity.defn(name="sweep")
    async def sweep(self) -> int:
        """One round; the number of machines and records that were settled."""
        return sum(action.done for action in await self._sweeper.sweep())


@workflow.defn(name=SWEEP)
class SweepWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            Sweeping.sweep, schedule_to_close_timeout=timedelta(minutes=10), heartbeat_timeout=timedelta(seconds=10)
        )


async def ensure_schedules(client: Client, task_queue: str, every: timedelta) -> None:
    """Make sure that the engine sweeps at this interval. May be called by every worker at every start."""
    await ensure_schedule(client, task_queue, SWEEP, every, at_once=False)
