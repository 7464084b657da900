"""Holds machines that launches took after the backup from which the database was restored.

The restored record still says that the machine is in the pool, while a player has it. Temporal is not restored with the
database: it knows the workflow that the machine got as a VM.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final, Protocol

from fleet.messages import machine_workflow_id
from fleet.warm_pool.metering import WarmMeter
from models.database import Database
from models.warm_machines import OPEN, WarmMachine, WarmStatus

log = logging.getLogger(__name__)

_WHY: Final = "a launch had taken it, and the record of that is lost"


class KnownWorkflows(Protocol):
    """The part of Temporal's client that the pool needs. Raises UnavailableError if it does not respond."""

    async def was_started(self, workflow_id: str) -> bool:
        """Return whether this workflow runs, or has run within the namespace's retention."""
        ...


class Holding:
    def __init__(self, db: Database, workflows: KnownWorkflows) -> None:
        self._db = db
        self._workflows = workflows
        self._meter = WarmMeter(db)

    async def is_held(self, machine_id: str) -> bool:
        """Return whether the machine is a player's. Then it leaves the pool as it is, and the sweeper holds it.

        Call it before a machine of the pool is taken, set up, turned off or deleted. Raises UnavailableError.
        """
        if not await self._workflows.was_started(machine_workflow_id(machine_id)):
            return False
        in_pool = {"_id": machine_id, "status": {"$in": sorted(OPEN)}}
        at = datetime.now(UTC)
        leaves = {"status": WarmStatus.TAKEN, "taken_at": at, "detail": _WHY}

        async def write() -> WarmMachine | None:
            held = await self._db.update(WarmMachine, in_pool, {"$set": leaves})
            if held is not None:
                await self._meter.record_state(held, None, at)
            return held

        if await self._db.transaction(write) is not None:
            log.error("a machine of the warm pool needs attention", extra={"warm": machine_id, "why": _WHY})
        return True
