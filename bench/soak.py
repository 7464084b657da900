"""Whether anything is lost, left running or billed wrongly when everything goes wrong at once.

    python -m bench.soak [--machines 20] [--minutes 30] [--at-once 8] [--google 0.2] [--workers 2] [--gateways 2]

Starts the service as processes of its own (database, engine, simulated clouds, gateways, workers), lets players
launch, stop, start, restart, delete and cancel at random while clouds fail at random and processes are killed, until
so many machines were rented. Then it lets everything settle and compares: the clouds' list with our live machines,
their record of every machine's life and bill with our meter, and every save with the bucket (bench/soak_audit.py says
what exactly). At last everybody goes home, and it compares again: nothing may be left. Exits with 1 when anything
differs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak_audit import UNASKED_S, Verdict, compared
from bench.soak_chaos import Weather
from bench.soak_lives import lives
from bench.soak_players import Played, Player
from billing.meter import Meter
from composition.dependencies import Dependencies, compose
from embedded.services import EmbeddedServices
from errors import ProviderError
from fleet.sweeper import Sweeper
from models.database import Database
from models.launches import ENDED as LAUNCH_ENDED
from models.launches import Launch
from models.vms import ENDED, Vm, VmStatus
from schema.ids import global_id
from settings import load_settings
from tests.e2e.service import Deployment, Gateway, Process, deployment

_CLOCK_FACTOR = 200.0
_SETTLE_S = 420.0  # the last step of a launch goes on for five minutes where the stream does not answer
_TOLD_EVERY_S = 60.0
_STEADY = [*ENDED, VmStatus.RUNNING, VmStatus.STOPPED, VmStatus.LOST]


@dataclass(frozen=True, slots=True)
class Plan:
    machines: int = 20
    minutes: float = 30.0  # at the most
    at_once: int = 8
    google: float = 0.2  # the share of players who want their machine at Google
    workers: int = 2
    gateways: int = 2
    seed: int = 1
    kill_every_s: float = 15.0
    fault_every_s: float = 4.0


@dataclass
class Soak:
    """One run: its processes, its players, and what they did."""

    plan: Plan
    deployed: Deployment
    chance: random.Random
    gateways: list[Gateway] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    played: Played = field(default_factory=Played)

    def __post_init__(self) -> None:
        chance = random.Random(f"{self.plan.seed}:weather")  # noqa: S311 - not a secret
        self.weather = Weather(self.deployed, chance, google=self.plan.google > 0)

    async def begin(self) -> None:
        for _ in range(self.plan.gateways):
            self.gateways.append(await self.deployed.gateway())
        self.workers += [self.deployed.worker() for _ in range(self.plan.workers)]

    def gateway(self) -> Gateway:
        return self.chance.choice(self.gateways)

    async def play(self) -> None:
        """Players come and go until so many machines were rented as the plan says, or its time is over."""
        until = time.monotonic() + 60 * self.plan.minutes
        numbers = itertools.count()

        async def one_after_another() -> None:
            while time.monotonic() < until and len(await lives(self.deployed)) < self.plan.machines:
                await self._player(next(numbers)).play(until)

        async with asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(one_after_another()) for _ in range(self.plan.at_once)]
            bad_days = [tasks.create_task(each) for each in (self._fail(), self._kill(), self._tell())]
            await asyncio.wait(playing)
            for task in bad_days:
                task.cancel()
            await asyncio.wait(bad_days)
            await self.weather.clear()

    async def go_home(self, db: Database) -> None:
        """Everybody deletes the machine that is left."""
        places = asyncio.Semaphore(self.plan.at_once)

        async def one(vm: Vm) -> None:
            async with places:
                await self._player(0).go_home(global_id("VM", vm.id))

        async with asyncio.TaskGroup() as tasks:
            for vm in await db.find(Vm, {"status": {"$nin": list(ENDED)}}):
                tasks.create_task(one(vm))

    def _player(self, number: int) -> Player:
        at_google = random.Random(f"{self.plan.seed}:{number}:cloud").random() < self.plan.google  # noqa: S311 - not a secret
        cloud = "CLOUDYPAD" if at_google else "TENSORDOCK"
        return Player(self.deployed, self.gateway, number, self.plan.seed, self.done, self.played, cloud)

    async def _tell(self) -> None:
        """How far it is, now and then, for whoever waits."""
        while True:
            await asyncio.sleep(_TOLD_EVERY_S)
            print(f"{len(await lives(self.deployed))} of {self.plan.machines} machines rented", flush=True)

    async def _fail(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0, 2 * self.plan.fault_every_s))
            self.done[f"fault {await self.weather.worsen()}"] += 1

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0, 2 * self.plan.kill_every_s))
            if self.chance.random() < 0.7:
                place = self.chance.randrange(len(self.workers))
                await asyncio.to_thread(self.workers[place].kill)
                self.workers[place] = self.deployed.worker()
                self.done["kill -9 worker"] += 1
            else:
                place = self.chance.randrange(len(self.gateways))
                await asyncio.to_thread(self.gateways[place].process.kill)
                self.gateways[place] = await self.deployed.gateway()
                self.done["kill -9 gateway"] += 1


async def settled(db: Database) -> list[str]:
    """Once nothing is under way any more; else what still is when the patience ends."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        launches = await db.find(Launch, {"status": {"$nin": list(LAUNCH_ENDED)}})
        vms = await db.find(Vm, {"status": {"$nin": _STEADY}})
        left = [f"launch {each.id} {each.status}" for each in launches] + [
            f"vm {each.id} {each.status}" for each in vms
        ]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(1)


async def agreed(run: Soak, db: Database) -> Verdict:
    """What differs for longer than a change that nobody ordered may stay unseen: idle machines switch themselves off
    also now, in a simulated time of their own."""
    deadline = time.monotonic() + UNASKED_S
    while True:
        verdict = await compared(run.deployed, db, run.played, run.weather.mishaps)
        if not verdict.differences or time.monotonic() > deadline:
            return verdict
        await asyncio.sleep(2)


async def swept(parts: Dependencies) -> None:
    """Two rounds of the sweeper, so far apart that what it saw first is no longer spared."""
    sweeper = Sweeper(parts.db, parts.registry, Meter(parts.db), spare_s=5)
    for pause_s in (6, 0):
        try:
            await sweeper.sweep()
        except ProviderError as error:
            print(f"  a sweep failed: {error}")
        await asyncio.sleep(pause_s)


async def soak(plan: Plan, folder: Path) -> tuple[Counter[str], Verdict]:
    """Everything from the first process to the comparison."""
    async with EmbeddedServices(folder / "embedded", simulator=None) as running:
        assert running.mongodb_uri is not None
        assert running.temporal_address is not None
        return await soaked(plan, folder, running.mongodb_uri, running.temporal_address)


async def soaked(plan: Plan, folder: Path, mongodb_uri: str, temporal_address: str) -> tuple[Counter[str], Verdict]:
    """The same on a database and an engine that are there."""
    async with deployment(folder, mongodb_uri, temporal_address, clock_factor=_CLOCK_FACTOR) as deployed:
        deployed.environment |= {
            "TENSORDOCK_REQUESTS_PER_SECOND": "50",
            "TENSORDOCK_SETTLE_SECONDS": "5",
            "RATE_LIMIT_PER_MINUTE": "100000",
            "LOG_LEVEL": "INFO",
        }
        run = Soak(plan, deployed, random.Random(plan.seed))  # noqa: S311 - not a secret
        await run.begin()
        await run.play()
        names = {name.lower(): value for name, value in deployed.environment.items()}
        settings = load_settings(**names)
        async with compose(settings) as parts:
            left = await settled(parts.db)
            await swept(parts)
            verdict = await agreed(run, parts.db)
            verdict.differences += [f"still under way: {each}" for each in left]
            await run.go_home(parts.db)
            left = await settled(parts.db)
            await swept(parts)
            afterwards = await agreed(run, parts.db)
            verdict.differences += [f"afterwards still under way: {each}" for each in left]
            verdict.add_afterwards(afterwards, [life.tag for life in await lives(deployed) if life.state is not None])
        return run.done, verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, kind in (("machines", int), ("at-once", int), ("workers", int), ("gateways", int), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Plan(), name.replace("-", "_")))
    for name in ("minutes", "google", "kill-every-s", "fault-every-s"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan(), name.replace("-", "_")))
    parser.add_argument("--folder", type=Path, help="keep logs and disks here")
    given = vars(parser.parse_args())
    folder = given.pop("folder") or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    done, verdict = asyncio.run(soak(Plan(**given), folder))
    for what, count in sorted(done.items()):
        print(f"{count:6} {what}")
    print(verdict.text())
    print(f"{time.monotonic() - began:.0f} s, logs in {folder}")
    return 1 if verdict.differences else 0


if __name__ == "__main__":
    sys.exit(main())
