"""Estimates when a launch will be ready, from the median durations of earlier launches' steps."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from statistics import median

from models.database import DESCENDING, Database
from models.launches import Launch, LaunchStatus, LaunchStepName, StepStatus
from providers.base import ProviderName

_EARLIER_LAUNCHES = 20
_MEMORY_S = 30.0


class Estimator:
    """Medians per provider and step over the latest launches that became ready, cached for half a minute."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._medians: dict[ProviderName | None, dict[LaunchStepName, float]] = {}
        self._read_at = -_MEMORY_S

    async def renew(self, launch_id: str, now: datetime) -> None:
        """Write the launch's estimate; it is empty without earlier launches."""
        launch = await self._db.get(Launch, launch_id)
        if launch is None:
            return
        learned = await self._read_medians()
        medians = learned.get(launch.placed_with) or learned.get(None)
        if not medians:
            return
        left = sum(medians.get(step.name, 0.0) for step in launch.steps if step.status in _AHEAD)
        await self._db.update(
            Launch,
            {"_id": launch_id, "status": LaunchStatus.RUNNING},
            {"$set": {"estimated_ready_at": now + timedelta(seconds=left)}},
        )

    async def _read_medians(self) -> dict[ProviderName | None, dict[LaunchStepName, float]]:
        if self._medians.get(None) and time.monotonic() - self._read_at < _MEMORY_S:
            return self._medians
        launches, _ = await self._db.find_readable(
            Launch,
            {"status": LaunchStatus.READY},
            sort=[("requested_at", DESCENDING)],
            limit=_EARLIER_LAUNCHES,
        )
        self._medians = {
            provider: _medians([each for each in launches if provider in {None, each.placed_with}])
            for provider in [None, *ProviderName]
        }
        self._read_at = time.monotonic()
        return self._medians


_AHEAD = {StepStatus.PENDING, StepStatus.RUNNING}


def _medians(launches: list[Launch]) -> dict[LaunchStepName, float]:
    seconds: dict[LaunchStepName, list[float]] = {}
    for launch in launches:
        for step in launch.steps:
            if step.status is StepStatus.DONE and step.started_at and step.finished_at:
                seconds.setdefault(step.name, []).append((step.finished_at - step.started_at).total_seconds())
    return {name: median(values) for name, values in seconds.items()}
