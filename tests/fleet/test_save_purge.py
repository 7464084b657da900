"""The worker's daily purge of deleted saves."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

from billing.workflows import schedule_name
from fleet.save_purge import PURGE_SAVES, SavePurge, ensure_purge_schedule
from launch.temporal_client import connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from providers.storage.bucket import Bucket
from streaming.saves.versions import version_name
from tests.providers.games_bucket import bucket, server
from tests.providers.gcs_stand_in import BucketServer

__all__ = ["bucket", "server"]

DELETED = "saves/deleted/ann/GB/tetris/main"


async def test_what_was_deleted_longer_ago_is_removed_and_nothing_else(bucket: Bucket, server: BucketServer) -> None:
    now = datetime.now(UTC)
    old, young = version_name(now - timedelta(days=8)), version_name(now - timedelta(days=6))
    kept = {
        f"{DELETED}/{young}/current.tar.gz",
        f"{DELETED}/no-moment/current.tar.gz",
        f"saves/users/ann/GB/tetris/main/versions/{old}.tar.gz",
    }
    for name in (*kept, f"{DELETED}/{old}/current.tar.gz", f"{DELETED}/{old}/versions/{old}.tar.gz"):
        server.put(name, b"save")

    removed = await SavePurge(bucket, timedelta(days=7)).purge()
    again = await SavePurge(bucket, timedelta(days=7)).purge()

    assert (removed, again) == (2, 0)
    assert server.objects.keys() == kept


async def test_it_is_purged_at_the_first_start_and_then_daily(
    bucket: Bucket, server: BucketServer, temporal_address: str
) -> None:
    address = EngineAddress(temporal_address, "default", f"test-{secrets.token_hex(4)}")
    client = await connect(address)
    server.put(f"{DELETED}/{version_name(datetime.now(UTC) - timedelta(days=8))}/current.tar.gz", b"save")

    async with build_worker(client, address.task_queue, SavePurge(bucket, timedelta(days=7))):
        for _ in range(2):
            await ensure_purge_schedule(client, address.task_queue)
        await until_empty(server)
    schedule = client.get_schedule_handle(schedule_name(PURGE_SAVES, address.task_queue))
    described = await schedule.describe()
    await schedule.delete()

    assert [each.every.days for each in described.schedule.spec.intervals] == [1]
    assert described.info.num_actions == 1


async def until_empty(server: BucketServer) -> None:
    async with asyncio.timeout(20):
        while True:
            if not server.objects:
                return
            await asyncio.sleep(0.05)
