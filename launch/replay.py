"""Checks whether this build can continue the running workflows, by replaying their histories. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from launch.worker import build_replayer


@dataclass(frozen=True, slots=True)
class Replayed:
    """Result for one workflow. `fault` is None if this build can continue it."""

    workflow_id: str
    workflow_type: str
    started_at: datetime
    events: int
    fault: str | None


async def replay_running(client: Client, task_queue: str) -> AsyncIterator[Replayed]:
    """Yield every running workflow of the queue's workers with its result."""
    replayer = build_replayer()
    async for run in client.list_workflows(f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"):
        try:
            history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:  # deleted in between
                continue
            raise
        failure = (await replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure
        fault = None if failure is None else str(failure)
        yield Replayed(run.id, run.workflow_type, run.start_time, len(history.events), fault)
