"""What operators do to Temporal in a soak: workflows are terminated, and workers are upgraded build by build."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from temporalio.service import RPCError

from bench.soak_incidents import Incidents
from fleet.messages import launch_workflow_id, machine_workflow_id
from models.database import Database
from models.vms import Vm
from tests.e2e.engine import Engine
from tests.e2e.service import Deployment, Process

_PREFIX: Final = {"Launch": launch_workflow_id(""), "Machine": machine_workflow_id("")}
_DRAIN_S: Final = 600.0
_ASK_EVERY_S: Final = 10.0


@dataclass
class Worker:
    process: Process
    build: str


class Terminations:
    """Ends workflows of launches and machines by Temporal's own client, one by one."""

    def __init__(self, engine: Engine, db: Database, chance: random.Random, incidents: Incidents) -> None:
        self._engine = engine
        self._db = db
        self._chance = chance
        self._incidents = incidents
        self.done: Counter[str] = Counter()

    async def terminate(self) -> bool:
        """Return whether one ran and was ended."""
        runs = await self._engine.running()
        if not runs:
            return False
        run = self._chance.choice(runs)
        key = run.id.removeprefix(_PREFIX[run.workflow_type])
        if not await self._engine.terminate(run):
            return False
        for vm_id in [key] if run.workflow_type == "Machine" else await self._vms_of(key):
            self._incidents.terminated[vm_id] += 1
        self.done[f"terminated {run.workflow_type}"] += 1
        return True

    async def _vms_of(self, launch_id: str) -> list[str]:
        return [str(row["_id"]) for row in await self._db.rows(Vm, {"launch_id": launch_id})]


@dataclass
class Upgrades:
    """Workers of one build after the other. Those of the former one go on until no workflow needs them."""

    engine: Engine
    deployed: Deployment
    count: int  # of workers for each build
    build: int = 1
    workers: list[Worker] = field(default_factory=list)
    draining: list[asyncio.Task[None]] = field(default_factory=list)
    undrained: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.workers += [self.worker(self._name()) for _ in range(self.count)]

    def worker(self, build: str) -> Worker:
        return Worker(self.deployed.worker(WORKER_BUILD_ID=build), build)

    async def upgrade(self) -> bool:
        former = self._name()
        self.build += 1
        self.workers += [self.worker(self._name()) for _ in range(self.count)]
        self.draining.append(asyncio.create_task(self._drain(former), name=f"drain {former}"))
        return True

    async def drained(self) -> list[str]:
        """Wait for the former builds; returns those that workflows still needed when the patience ended."""
        await asyncio.gather(*self.draining)
        return self.undrained

    async def kill_one(self, choose: Callable[[list[Worker]], Worker]) -> None:
        worker = choose(self.workers)
        await asyncio.to_thread(worker.process.kill)
        if worker in self.workers:  # it may have been drained at this moment
            self.workers[self.workers.index(worker)] = self.worker(worker.build)

    async def _drain(self, build: str) -> None:
        deadline = time.monotonic() + _DRAIN_S
        while (needed := await self._needed_by(build)) != []:
            if time.monotonic() > deadline:
                self.undrained.append(f"build {build} is still needed by {needed or 'Temporal, which does not answer'}")
                return
            await asyncio.sleep(_ASK_EVERY_S)
        for worker in [each for each in self.workers if each.build == build]:
            self.workers.remove(worker)
            await asyncio.to_thread(worker.process.end)

    async def _needed_by(self, build: str) -> list[str] | None:
        """Return the workflows that need a build, or the deployment itself while it is current.

        Return None if Temporal does not respond, because it limits requests about a deployment.
        """
        try:
            if await self.engine.current() == build:
                return ["new workflows"]
            return await self.engine.running_on(build)
        except RPCError:
            return None

    def _name(self) -> str:
        return f"soak-{self.build}"
