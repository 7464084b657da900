"""Removes deleted saves daily, once they can no longer be restored, on a Temporal schedule."""

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
    """Removes deleted saves. `undelete_for` is how long they can be restored."""

    def __init__(self, bucket: Bucket, undelete_for: timedelta) -> None:
        self._bucket = bucket
        self._undelete_for = undelete_for

    @activity.defn(name="purge_deleted_saves")
    async def purge(self) -> int:
        """Remove older saves and return the number of objects."""
        removed = await purge_deleted_saves(self._bucket, datetime.now(UTC), self._undelete_for)
        if removed:
            log.info("removed expired deleted saves", extra={"objects": removed})
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
    """Create the daily schedule. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, PURGE_SAVES, _EVERY)
