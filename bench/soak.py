"""Checks that nothing is lost, left running or billed wrongly when many faults occur at once.

    python -m bench.soak [--machines 20] [--minutes 30] [--at-once 8] [--google 0.2] [--workers 2] [--gateways 2]
                         [--database-errors N] [--terminations N] [--upgrades N] [--balance-ends N] [--neighbors N]
                         [--warm USD]

Starts the service as separate processes (database, Temporal, simulated clouds, gateways, workers) and lets players
launch, stop, start, restart, delete and cancel at random until that many machines were rented. Clouds fail at random,
processes are killed, the database answers with errors, workflows are terminated, workers are upgraded, TensorDock's
balance ends, and a second installation has machines on the same accounts. With `--warm` a warm pool has machines ready,
for at most so many dollars a day, and is emptied before the comparison. A whole soak is 200 machines with 300
database errors, 20 terminated workflows and 2 upgrades; a smaller one has the same share of them.

Then it lets everything settle and compares: the clouds' list with the records, their account of every machine's life
and bill with the meter, the records with the workflows, and every save with the bucket (bench/soak_audit.py says what
exactly), for both installations. Finally it deletes every machine and compares again: nothing may be left. Exits
with 1 if anything differs.
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
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.soak_audit import ASLEEP_S, Verdict, compared
from bench.soak_chaos import Weather
from bench.soak_database import DatabaseErrors
from bench.soak_engine import Terminations, Upgrades
from bench.soak_incidents import spread
from bench.soak_lives import lives
from bench.soak_players import Played, Player
from billing.meter import Meter
from composition.dependencies import Dependencies, compose
from embedded.services import EmbeddedServices
from errors import GatewayError
from fleet.sweeper import Sweeper
from fleet.warm_pool.settings import read_pool, set_ceiling
from launch.temporal_client import connect
from launch.workflow_client import EngineAddress
from models.database import Database
from models.launches import ENDED as LAUNCH_ENDED
from models.launches import Launch
from models.roles import Role
from models.vms import ENDED, Vm, VmStatus
from models.warm_machines import OPEN as WARM_OPEN
from models.warm_machines import WarmMachine, WarmStatus
from schema.ids import global_id
from settings import load_settings
from tests.e2e.engine import Engine
from tests.e2e.service import Deployment, Gateway, deployment, forget_schedules
from tests.fault_proxy import FaultProxy, fault_proxy

_CLOCK_FACTOR = 200.0
_OPERATOR = ("soak", Role.OPERATOR)
_SETTLE_S = 420.0  # the last step of a launch goes on for five minutes where the stream does not answer
_REPORT_EVERY_S = 60.0
_COUNT_EVERY_S = 2.0
_STEADY = [*ENDED, VmStatus.RUNNING, VmStatus.STOPPED, VmStatus.LOST]
_WHOLE = 200  # machines; the counts below belong to so many
_DATABASE_ERRORS, _TERMINATIONS, _UPGRADES, _BALANCE_ENDS = 300, 20, 2, 2
_NEIGHBOR = "neighbor"


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of None are the share of a whole soak that belongs to so many machines, but at least one."""

    machines: int = 20
    minutes: float = 30.0  # at the most
    at_once: int = 8
    google: float = 0.2  # the share of players that want a machine at Google
    workers: int = 2
    gateways: int = 2
    seed: int = 1
    kill_every_s: float = 15.0
    fault_every_s: float = 4.0
    database_errors: int | None = None
    terminations: int | None = None
    upgrades: int = _UPGRADES
    balance_ends: int | None = None
    neighbors: int = 2  # machines of the second installation
    asleep: bool = True  # machines that are off vanish too
    warm: float = 0.0  # the warm pool's ceiling in USD a day

    def share(self, count: int | None, of_whole: int) -> int:
        return max(1, of_whole * self.machines // _WHOLE) if count is None else count


@dataclass
class Site:
    """One installation: the environment of its processes, its records, and its client of Temporal."""

    deployed: Deployment
    parts: Dependencies
    engine: Engine

    @property
    def db(self) -> Database:
        return self.parts.db


@dataclass
class Soak:
    """One run: its processes, its players, and their actions."""

    plan: Plan
    site: Site
    neighbor: Site
    proxy: FaultProxy
    chance: random.Random
    gateways: list[Gateway] = field(default_factory=list)
    neighbor_gateways: list[Gateway] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    played: Played = field(default_factory=Played)
    rented: int = 0
    over: bool = False

    def __post_init__(self) -> None:
        plan, site = self.plan, self.site
        self.weather = Weather(site.deployed, self._chance("weather"), google=plan.google > 0, asleep=plan.asleep)
        self.upgrades = Upgrades(site.engine, site.deployed, plan.workers)
        self.terminations = Terminations(site.engine, site.db, self._chance("terminations"), self.weather.incidents)
        self.database = DatabaseErrors(
            self.proxy, self._chance("database"), plan.share(plan.database_errors, _DATABASE_ERRORS)
        )

    async def begin(self) -> None:
        self.upgrades.begin()
        for _ in range(self.plan.gateways):
            self.gateways.append(await self.site.deployed.gateway())
        if self.plan.warm:
            await set_ceiling(self.site.db, Decimal(str(self.plan.warm)), _OPERATOR)
        if self.plan.neighbors:
            self.neighbor.deployed.worker()
            self.neighbor_gateways.append(await self.neighbor.deployed.gateway())
            for number in range(self.plan.neighbors):
                await _rented(self.neighbor_gateways[0], f"neighbor-{number}")

    def gateway(self) -> Gateway:
        return self.chance.choice(self.gateways)

    async def play(self) -> None:
        """Let players come and go until the planned number of machines was rented, or the time is over."""
        until = time.monotonic() + 60 * self.plan.minutes
        numbers = itertools.count()

        async def one_after_another() -> None:
            while time.monotonic() < until and self.rented < self.plan.machines:
                await self._player(next(numbers)).play(until)

        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(each) for each in (self._count(), self.database.keep_short())]
            trouble = [tasks.create_task(each) for each in (self._fail(), self._kill())]
            planned = [tasks.create_task(each) for each in self._planned()]
            await asyncio.wait([tasks.create_task(one_after_another()) for _ in range(self.plan.at_once)])
            self.over = True  # the remaining faults of the plan occur now
            await asyncio.wait(planned, timeout=60)
            for task in (*trouble, *planned, *background):
                task.cancel()
            await asyncio.wait([*trouble, *planned, *background])
        self.proxy.clear()
        await self.weather.clear()
        self.done += self.database.met + self.terminations.done

    def _planned(self) -> list[Coroutine[Any, Any, None]]:
        plan = self.plan

        def progress() -> float:
            return 1.0 if self.over else self.rented / plan.machines

        strikes = plan.share(plan.database_errors, _DATABASE_ERRORS)
        return [
            spread(strikes, progress, self.database.strike),
            spread(plan.share(plan.terminations, _TERMINATIONS), progress, self.terminations.terminate),
            spread(plan.upgrades, lambda: progress() * (plan.upgrades + 1) / plan.upgrades, self._upgrade),
            spread(plan.share(plan.balance_ends, _BALANCE_ENDS), progress, self._use_up_balance),
        ]

    async def _use_up_balance(self) -> bool:
        self.done["TensorDock's balance used up"] += 1
        return await self.weather.use_up_balance()

    async def _upgrade(self) -> bool:
        self.done["upgrade"] += 1
        return await self.upgrades.upgrade()

    async def go_home(self, site: Site, gateways: list[Gateway]) -> None:
        """Delete every machine that is left."""
        places = asyncio.Semaphore(self.plan.at_once)

        def gateway() -> Gateway:
            return self.chance.choice(gateways)

        async def one(vm: Vm) -> None:
            async with places:
                player = Player(site.deployed, gateway, 0, self.plan.seed, self.done, self.played)
                await player.go_home(global_id("VM", vm.id))

        async with asyncio.TaskGroup() as tasks:
            for vm in await site.db.find(Vm, {"status": {"$nin": list(ENDED)}}):
                tasks.create_task(one(vm))

    def _player(self, number: int) -> Player:
        at_google = self._chance(f"{number}:cloud").random() < self.plan.google
        cloud = "CLOUDYPAD" if at_google else "TENSORDOCK"
        return Player(self.site.deployed, self.gateway, number, self.plan.seed, self.done, self.played, cloud)

    def _chance(self, what: str) -> random.Random:
        return random.Random(f"{self.plan.seed}:{what}")  # noqa: S311 - not a secret

    async def _count(self) -> None:
        """Count the rented machines, and print the number from time to time."""
        reported = time.monotonic()
        while True:
            self.rented = len(await lives(self.site.deployed))
            if time.monotonic() - reported > _REPORT_EVERY_S:
                reported = time.monotonic()
                print(f"{self.rented} of {self.plan.machines} machines rented", flush=True)
            await asyncio.sleep(_COUNT_EVERY_S)

    async def _fail(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0, 2 * self.plan.fault_every_s))
            self.done[f"fault {await self.weather.worsen()}"] += 1

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0, 2 * self.plan.kill_every_s))
            if self.chance.random() < 0.7:
                await self.upgrades.kill_one(self.chance.choice)
                self.done["kill -9 worker"] += 1
            else:
                place = self.chance.randrange(len(self.gateways))
                await asyncio.to_thread(self.gateways[place].process.kill)
                self.gateways[place] = await self.site.deployed.gateway()
                self.done["kill -9 gateway"] += 1


async def _rented(gateway: Gateway, user_id: str) -> None:
    """Launch a game for a player and wait until it is READY, however busy this computer is."""
    launch_id = await gateway.launch(userId=user_id)
    async with asyncio.timeout(_SETTLE_S):
        while (launch := (await gateway.data("Launch", {"id": launch_id}))["launch"])["status"] != "READY":
            assert launch["status"] in {"QUEUED", "RUNNING"}, launch
            await asyncio.sleep(1)


async def emptied(run: Soak) -> list[str]:
    """Switch the warm pool off, and return what is wrong with what it cost."""
    pool = await read_pool(run.site.db)
    taken = await run.site.db.count(WarmMachine, {"status": WarmStatus.TAKEN})
    run.done["warm machine taken"] += taken
    run.done["warm machine rented"] += await run.site.db.count(WarmMachine, {"ordered_at": {"$ne": None}})
    await set_ceiling(run.site.db, Decimal(0), _OPERATOR)
    if pool.spent_today_usd <= pool.ceiling_usd_per_day:
        return []
    return [f"the warm pool cost {pool.spent_today_usd:.4f} USD of at most {pool.ceiling_usd_per_day} today"]


async def settled(db: Database) -> list[str]:
    """Wait until nothing is in progress. Return what still is after the timeout."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        launches = await db.find(Launch, {"status": {"$nin": list(LAUNCH_ENDED)}})
        vms = await db.find(Vm, {"status": {"$nin": _STEADY}})
        pooled = await db.find(WarmMachine, {"status": {"$in": sorted(WARM_OPEN)}})
        left = [
            *(f"launch {each.id} {each.status}" for each in launches),
            *(f"vm {each.id} {each.status}" for each in vms),
            *(f"warm machine {each.id} {each.status}" for each in pooled),
        ]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(1)


async def agreed(run: Soak, site: Site) -> Verdict:
    """Return what differs for longer than an unrequested change may stay unnoticed.

    Idle machines still switch themselves off during that time, by the simulated clock.
    """
    deadline = time.monotonic() + ASLEEP_S
    played = run.played if site is run.site else Played()
    while True:
        verdict = await compared(site.deployed, site.db, site.engine, played, run.weather.incidents)
        if not verdict.differences or time.monotonic() > deadline:
            return verdict
        await asyncio.sleep(2)


async def swept(site: Site) -> None:
    """Run the sweeper twice, far enough apart that machines from the first round are no longer spared."""
    parts, name = site.parts, site.deployed.name
    sweeper = Sweeper(parts.db, parts.registry, Meter(parts.db), deployment=name, spare_s=5, workflows=parts.engine)
    for pause_s in (6, 0):
        try:
            await sweeper.sweep()
        except GatewayError as error:
            print(f"  a sweep failed: {error}")
        await asyncio.sleep(pause_s)


async def judged(run: Soak, site: Site) -> Verdict:
    """Return the verdict after all work has ended."""
    left = await settled(site.db)
    await swept(site)
    verdict = await agreed(run, site)
    verdict.differences += [f"still under way: {each}" for each in left]
    return verdict


async def soak(plan: Plan, folder: Path) -> tuple[Counter[str], Verdict]:
    """Run the whole soak, from the first process to the comparison."""
    async with EmbeddedServices(folder / "embedded", simulator=None) as running:
        assert running.mongodb_uri is not None
        assert running.temporal_address is not None
        return await soaked(plan, folder, running.mongodb_uri, running.temporal_address)


async def soaked(plan: Plan, folder: Path, mongodb_uri: str, temporal_address: str) -> tuple[Counter[str], Verdict]:
    """Run the soak on an existing database and Temporal server."""
    async with (
        fault_proxy(mongodb_uri) as proxy,
        deployment(folder, mongodb_uri, temporal_address, clock_factor=_CLOCK_FACTOR) as deployed,
    ):
        deployed.environment |= {
            "TENSORDOCK_REQUESTS_PER_SECOND": "50",
            "TENSORDOCK_SETTLE_SECONDS": "5",
            "RATE_LIMIT_PER_MINUTE": "100000",
            "LOG_LEVEL": "INFO",
        }
        async with _site(deployed) as site, _site(deployed.second(_NEIGHBOR)) as neighbor:
            deployed.environment["MONGODB_ATLAS_URI"] = proxy.uri
            run = Soak(plan, site, neighbor, proxy, random.Random(plan.seed))  # noqa: S311 - not a secret
            await run.begin()
            await run.play()
            undrained = await run.upgrades.drained()
            verdict = Verdict(undrained + await emptied(run))
            sites = [(site, "", run.gateways), (neighbor, "neighbor ", run.neighbor_gateways)]
            for each, name, _ in sites[: 1 + bool(plan.neighbors)]:
                verdict.add(f"{name}before", await judged(run, each))
            for each, name, gateways in sites[: 1 + bool(plan.neighbors)]:
                await run.go_home(each, gateways)
                verdict.add(f"{name}afterwards", await judged(run, each))
                left = [life.tag for life in await lives(each.deployed) if life.state is not None]
                verdict.differences += [f"{tag} is left at its cloud" for tag in left]
            return run.done, verdict


@asynccontextmanager
async def _site(deployed: Deployment) -> AsyncIterator[Site]:
    """Open an installation's database, bypassing the proxy. Its schedules end with the block."""
    environment = deployed.environment
    address, queue = environment["TEMPORAL_ADDRESS"], environment["TEMPORAL_TASK_QUEUE"]
    engine = Engine(await connect(EngineAddress(address, "default", queue)), queue)
    async with compose(load_settings(**{name.lower(): value for name, value in environment.items()})) as parts:
        try:
            yield Site(deployed, parts, engine)
        finally:
            await forget_schedules(address, queue)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    counts = ("machines", "at-once", "workers", "gateways", "seed", "database-errors", "terminations")
    for name in (*counts, "upgrades", "balance-ends", "neighbors"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan(), name.replace("-", "_")))
    for name in ("minutes", "google", "kill-every-s", "fault-every-s", "warm"):
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
