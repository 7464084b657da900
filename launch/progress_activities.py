"""The activity that writes a launch's progress."""

from __future__ import annotations

from temporalio import activity

from launch.playable_time import PlayableTimes
from launch.progress import ProgressUpdate, WriteResult, write
from launch.ready_estimate import Estimator
from models.database import Database
from models.launches import LaunchStatus


class ProgressActivities:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._estimator = Estimator(db)
        self._playable = PlayableTimes(db)

    @activity.defn(name="tell")
    async def write_progress(self, note: ProgressUpdate) -> WriteResult:
        """Write a progress update, and with it the estimated time when the launch becomes ready."""
        written = await write(self._db, note)
        if written.accepted and note.begins:
            await self._estimator.renew(note.launch_id, note.at)
        if written.accepted and note.status is LaunchStatus.READY:
            await self._playable.record(note.launch_id, note.at)
        return written
