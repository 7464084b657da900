"""Removes deleted saves once a day, when the time in which they can be undeleted is over: a schedule of Temporal."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from providers.storage.bucket import Bucket
    from streaming.saves.purge import purge_deleted_saves

log = logging.getLogger(__name__)

PURGE_SAVES: Final = "PurgeDeletedSaves"
_EVERY: Final = timedelta(days=1)
_RETRY: Final = RetryPolicy(initial_interval=timedelta(minutes=1), maximum_interval=timedelta(hours=1))


class SavePurge:
    """`undelete_for`: how long a deleted save can be brought back."""

    def __init__(self, bucket: Bucket, undelete_for: timedelta) -> None:
        self._bucket = bucket
        self._undelete_for = undelete_for

    @activity.defn(name="purge_deleted_saves")
    async def purge(self) -> int:
        """Remove what is older, and return the number of objects."""
        removed = await purge_deleted_saves(self._bucket, datetime.now(UTC), self._undelete_for)
        if removed:
            log.info("deleted saves are removed for good", extra={"objects": removed})
        return removed


@workflow.defn(name=PURGE_SAVES)
class PurgeDeletedSavesWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            SavePurge.purge,
            start_to_close_timeout=timedelta(minutes=30),
            schedule_to_close_timeout=timedelta(hours=12),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=_RETRY,
        )


async def ensure_purge_schedule(client: Client, task_queue: str) -> None:
    """Have the engine purge daily. May be called by every worker at every start."""
    await ensure_schedule(client, task_queue, PURGE_SAVES, _EVERY)
