"""Two processes that look after spending at the same moment: each alert is raised and told once, each stop is one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from billing.limits import SpendingLimits
from models.audit import AuditEntry
from models.database import Database
from models.launches import Launch, LaunchStatus
from models.limits import LimitPeriod, SpendingAlert, SpendingStop
from models.roles import Role
from models.usage import UsageInterval
from models.vms import VmStatus
from tests.billing.exact import an_interval, utc
from tests.world import World

ROOT = Path(__file__).resolve().parents[2]
OLGA = ("olga", Role.OPERATOR)
NOON, LONG_AGO = utc(2026, 5, 15, 12), utc(2020, 1, 1)


class Receiver:
    """Counts what it is told, by event."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.told[request.headers["X-Gamer-Event-Id"]] += 1
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/hooks", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/hooks"))
        yield made


class Replicas:
    """Processes of their own that wait for a word, and get it together."""

    def __init__(self, processes: list[Popen[bytes]]) -> None:
        self._processes = processes

    async def all(self, *words: str) -> list[object]:
        """What each answers to a command that all of them begin now."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{' '.join(words)}\n".encode())
            process.stdin.flush()
        return [await asyncio.to_thread(_answer, process) for process in self._processes]


def _answer(process: Popen[bytes]) -> object:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"a replica ended with {process.wait()}"
    return json.loads(line)


@contextmanager
def started(*arguments: str) -> Iterator[Replicas]:
    command = [sys.executable, "-m", "tests.fleet.replica", *arguments]
    processes = [Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE) for _ in range(2)]
    try:
        yield Replicas(processes)
    finally:
        for process in processes:
            process.communicate(timeout=20)  # the end of its input is the end of its work


async def test_two_processes_raise_each_alert_once_and_tell_it_once(
    db: Database, mongodb_uri: str, temporal_address: str, receiver: Receiver
) -> None:
    await spenders(db)

    with started(mongodb_uri, db.name, temporal_address, receiver.url) as replicas:
        await replicas.all("ready")
        at_noon = await replicas.all("raise", NOON.isoformat())
        a_day_later = await replicas.all("raise", (NOON + timedelta(days=1)).isoformat())
        await db.delete(UsageInterval, {})
        await replicas.all("watch")
        await until_told(db)

    alerts = await db.find(SpendingAlert, {})
    assert (len(flat(at_noon)), len(flat(a_day_later))) == (8, 1)
    assert Counter((alert.user_id, alert.period.value, alert.level.value) for alert in alerts) == dict.fromkeys(
        [
            *(("careful", "DAILY", "INFO"), ("careful", "MONTHLY", "INFO"), ("careful", "DAILY", "CRITICAL")),
            *(("near", "DAILY", "WARNING"), ("near", "MONTHLY", "WARNING")),
            *(("over", "DAILY", "CRITICAL"), ("over", "MONTHLY", "CRITICAL")),
            *((None, "DAILY", "CRITICAL"), (None, "MONTHLY", "CRITICAL")),
        ],
        1,
    )
    assert sorted(receiver.told.values()) == [1] * len(alerts)


async def spenders(db: Database) -> None:
    """At noon one has spent little and goes on, one nearly all, one too much, and all together too much."""
    limits = {"careful": ("5", "100"), "near": ("10", "10"), "over": ("10", "10"), None: ("20", "20")}
    for user_id, amounts in limits.items():
        for period, usd in zip(LimitPeriod, amounts, strict=True):
            await SpendingLimits(db).set(period, Decimal(usd), user_id, hard=False, by=OLGA)
    for number, (user_id, usd, end) in enumerate(
        [("careful", "0.45", None), ("near", "9", NOON), ("over", "11", NOON)]
    ):
        price = {"machine_usd_per_hour": usd, "storage_usd_per_hour": "0", "user_id": user_id}
        await db.insert(an_interval(str(number), 1, NOON - timedelta(hours=1), end, **price))


def flat(answers: list[object]) -> list[str]:
    return [alert_id for answer in answers if isinstance(answer, list) for alert_id in answer]


async def until_told(db: Database) -> None:
    async with asyncio.timeout(10), db.watch(SpendingAlert, []) as changes:
        while await db.find(SpendingAlert, {"told": False}):
            await changes.try_next()


async def test_two_processes_end_what_a_hard_limit_forbids_once(
    world: World, mongodb_uri: str, temporal_address: str, receiver: Receiver
) -> None:
    with started(mongodb_uri, world.db.name, temporal_address, receiver.url) as replicas:
        vm, launch = await world.machine(), await setting_up(world)
        await world.db.update_many(UsageInterval, {}, {"$set": {"machine_usd_per_hour": Decimal(10**9)}})
        await SpendingLimits(world.db).set(LimitPeriod.DAILY, Decimal("0.0001"), None, hard=True, by=OLGA)
        await replicas.all("ready")

        warning = await replicas.all("stop")
        stops = {stop.id: stop.warning for stop in await world.db.find(SpendingStop, {})}
        shown = {vm.id: (await world.again(vm)).warning, launch.id: (await world.now(launch)).warning}
        await world.db.update_many(SpendingStop, {}, {"$set": {"stop_at": LONG_AGO}})
        ending = await replicas.all("stop")

    world.streaming.let_go("install")
    await world.until(vm, VmStatus.STOPPED)
    assert (await world.until_over(launch)).status is LaunchStatus.CANCELLED
    assert (warning, stops) == ([0, 0], shown)
    assert sum(ended for ended in ending if isinstance(ended, int)) == 2
    trail = await world.db.find(AuditEntry, {"actor_id": "gamer:spending"})
    assert Counter((entry.action, entry.subject_id, entry.outcome.value) for entry in trail) == {
        ("stopVm", vm.id, "DONE"): 1,
        ("cancelLaunch", launch.id, "DONE"): 1,
    }
    assert await world.db.find(SpendingStop, {}) == []


async def setting_up(world: World) -> Launch:
    """A launch that is on its way."""
    reached = world.streaming.hold("install")
    launch = await world.launch(caller_id="player-2", user_id="player-2")
    await asyncio.wait_for(reached.wait(), 20)
    return launch
