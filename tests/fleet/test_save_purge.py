"""The worker's daily purge of deleted saves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.save_purge import SavePurge
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
