"""Temporal schedules of the fleet, which make one of several replicas do the work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client, ScheduleUpdate, ScheduleUpdateInput

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule, schedule_name
    from fleet.sweeper import Sweeper

SWEEP: Final = "Sweep"
_OF_DEPLOYMENT: Final = "of the deployment "


class Sweeping:
    """The sweeper as an activity."""

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper

    @activity.defn(name="sweep")
    async def sweep(self) -> int:
        """Sweep once and return the number of machines and records that were settled."""
        return sum(action.done for action in await self._sweeper.sweep())


@workflow.defn(name=SWEEP)
class SweepWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            Sweeping.sweep, schedule_to_close_timeout=timedelta(minutes=10), heartbeat_timeout=timedelta(seconds=10)
        )


async def ensure_schedules(client: Client, task_queue: str, every: timedelta) -> None:
    """Create the schedule that sweeps at this interval. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, SWEEP, every, at_once=False)


async def claim_queue(client: Client, task_queue: str, deployment: str, *, adopt: bool = False) -> str | None:
    """Record on the sweeper's schedule which deployment serves this queue, or return the other one that it names.

    A worker that took the work of another deployment would find none of its records and treat its machines as gone. The
    schedule must exist. With `adopt` the record is overwritten. Every worker may call it at every start.
    """
    ours, other = f"{_OF_DEPLOYMENT}{deployment}", None

    def note_deployment(asked: ScheduleUpdateInput) -> ScheduleUpdate | None:
        nonlocal other
        kept = asked.description.schedule
        note = kept.state.note or ""
        other = None
        if note.startswith(_OF_DEPLOYMENT) and note != ours and not adopt:
            other = note.removeprefix(_OF_DEPLOYMENT)
        if note == ours or other is not None:
            return None
        return ScheduleUpdate(replace(kept, state=replace(kept.state, note=ours)))

    await client.get_schedule_handle(schedule_name(SWEEP, task_queue)).update(note_deployment)
    return other
