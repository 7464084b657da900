"""Starts launches that are on record but were never passed to Temporal, because their process died before.

Starting twice is harmless, so all launches that seem to wait are started again. A launch that waited for too long is
ended instead: its player has gone, and would pay for a machine.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from errors import UnavailableError
    from launch.ended_runs import InterruptedLaunches
    from launch.messages import LaunchInput
    from launch.progress import ProgressUpdate, write
    from launch.workflow_client import LaunchStarter
    from models.database import Database
    from models.launches import Launch, LaunchStatus

log = logging.getLogger(__name__)

RESCUE: Final = "RescueLaunches"
_EVERY: Final = timedelta(seconds=30)
_AT_ONCE: Final = 100


class LaunchRecovery:
    """Recovers launches. `after`: age at which a launch should have started; `too_late`: age at which it must not."""

    def __init__(
        self,
        db: Database,
        engine: LaunchStarter,
        *,
        after: timedelta = timedelta(seconds=15),
        too_late: timedelta = timedelta(minutes=15),
        interrupted: InterruptedLaunches | None = None,
    ) -> None:
        self._db = db
        self._engine = engine
        self._after = after
        self._too_late = too_late
        self._interrupted = interrupted

    @activity.defn(name="rescue")
    async def rescue(self) -> int:
        """Start or end launches that have not started, and return their number, the oldest first.

        If Temporal does not respond, the next run repeats it.
        """
        now = datetime.now(UTC)
        stranded, _ = await self._db.find_readable(
            Launch,
            {
                "status": {"$in": [LaunchStatus.QUEUED, LaunchStatus.CANCELLING]},
                "requested_at": {"$lt": now - self._after},
                "last_sequence": 0,
            },
            sort=[("requested_at", 1)],
            limit=_AT_ONCE,
        )
        for launch in stranded:
            log.warning("launch had not started", extra={"launch": launch.id, "status": launch.status})
            if launch.requested_at < now - self._too_late:
                await self._end(launch, now)
            else:
                await self._begin(launch)
        return len(stranded) + await self._settle_interrupted()

    async def _settle_interrupted(self) -> int:
        """Settle launches that started and lost their workflow."""
        if self._interrupted is None:
            return 0
        try:
            return await self._interrupted.settle()
        except UnavailableError as error:
            log.warning("failed to compare launches with workflows", extra={"why": error.message})
            return 0

    async def _begin(self, launch: Launch) -> None:
        try:
            await self._engine.start_launch(LaunchInput(launch.id))
        except UnavailableError as error:
            log.warning("failed to start launch", extra={"launch": launch.id, "why": error.message})

    async def _end(self, launch: Launch, now: datetime) -> None:
        """Write a single terminal event.

        If Temporal starts the workflow later, it sees the ended launch and rents nothing.
        """
        cancelled = launch.status is LaunchStatus.CANCELLING
        message = "Cancelled. Nothing was rented" if cancelled else "It could not start in time; nothing was rented"
        note = ProgressUpdate(
            launch_id=launch.id,
            sequence=1,
            at=now,
            status=LaunchStatus.CANCELLED if cancelled else LaunchStatus.FAILED,
            progress=0.0,
            message=message,
            failure=None if cancelled else message,
        )
        await write(self._db, note)


@workflow.defn(name=RESCUE)
class RescueWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            LaunchRecovery.rescue,
            schedule_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=10),
        )


async def ensure_rescue_schedule(client: Client, task_queue: str) -> None:
    """Create the schedule. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, RESCUE, _EVERY)
