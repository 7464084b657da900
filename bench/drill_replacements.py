"""Drills in which processes are replaced, killed or ended while launches, machines and clients are there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.drill_world import Outcome, World, world
from tests.e2e.service import OPERATIONS, ROOT, Gateway, Process

_DRAIN_S: Final = 10.0
_KILL_EVERY_S: Final = 4.0
_OVER_S: Final = 300.0
_PAUSE_S: Final = 0.2
_PROTOCOL: Final = "graphql-transport-ws"
# Codes after which clients of graphql-transport-ws connect again; after others of 4400 and above they give up.
_RECONNECTING: Final = frozenset({1001, 1006, 1012, 1013, 4403})


@dataclass
class Follower:
    """A client that follows a launch, and goes on at another gateway where it left off."""

    gateways: list[Gateway]
    http: aiohttp.ClientSession
    launch: str
    number: int
    seen: list[int] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    over: bool = False

    async def follow(self, until: float) -> None:
        """Follow until the launch is over, connecting again whenever the connection ends."""
        turn = itertools.count(self.number)
        while not self.over and time.monotonic() < until:
            gateway = self.gateways[next(turn) % len(self.gateways)]
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                await self._connection(gateway)
            if not self.over:
                await asyncio.sleep(_PAUSE_S)

    async def _connection(self, gateway: Gateway) -> None:
        variables = {"launchId": self.launch, "after": self.seen[-1] if self.seen else 0}
        document = (OPERATIONS / "LaunchProgress.graphql").read_text()
        url = f"{gateway.url}/graphql"
        async with self.http.ws_connect(url, protocols=[_PROTOCOL], timeout=aiohttp.ClientWSTimeout(ws_close=2)) as ws:
            await ws.send_json({"type": "connection_init"})
            payload = {"query": document, "variables": variables}
            await ws.send_json({"id": "1", "type": "subscribe", "payload": payload})
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._received(ws, json.loads(message.data))
                if self.over:
                    return
            self.codes[ws.close_code or 1006] += 1

    async def _received(self, ws: aiohttp.ClientWebSocketResponse, answer: dict[str, Any]) -> None:
        if answer["type"] == "ping":
            await ws.send_json({"type": "pong"})
        elif answer["type"] == "next":
            self.seen.append(answer["payload"]["data"]["launchProgress"]["sequence"])
        elif answer["type"] == "complete":
            self.over = True


async def drill_reconnect(folder: Path, launches: int, clients: int) -> Outcome:
    """Kill a gateway that many clients follow launches at; each goes on at another one and misses no event."""
    outcome = Outcome(f"{clients} clients reconnect after a gateway's death")
    async with world(folder, clock_factor=20) as drilled:
        gateways = [await drilled.gateway() for _ in range(2)]
        drilled.process("worker")
        ordered = await drilled.launch(gateways[1], launches)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            followers = [
                # All begin at the first gateway, and go on at the second.
                Follower(gateways, http, ordered[number % launches], 0)
                for number in range(clients)
            ]
            until = time.monotonic() + _OVER_S
            following = [asyncio.create_task(each.follow(until)) for each in followers]
            await _until_connected(followers)
            await asyncio.to_thread(gateways[0].process.kill)
            killed = time.monotonic()
            before = [len(each.seen) for each in followers]
            await _until_more(followers, before)
            outcome.measured.append(f"all follow again {time.monotonic() - killed:.1f} s after the kill")
            gateways[0] = gateways[1]
            statuses = await drilled.until_over(lambda: gateways[1], ordered)
            await asyncio.wait(following, timeout=60)
        judge_followers(outcome, followers)
        await drilled.judge(outcome, statuses, launches)
    return outcome


async def _until_connected(followers: list[Follower]) -> None:
    await _until(lambda: all(each.seen for each in followers))


async def _until_more(followers: list[Follower], before: list[int]) -> None:
    """Wait until each follower has received something after the kill, or its launch is over."""
    pairs = list(zip(followers, before, strict=True))
    await _until(lambda: all(each.over or len(each.seen) > count for each, count in pairs))


async def _until(so: Callable[[], bool], within_s: float = 120) -> None:
    """Wait until something is so, or the time is over: what follows judges that."""
    deadline = time.monotonic() + within_s
    while True:
        if so() or time.monotonic() > deadline:
            return
        await asyncio.sleep(_PAUSE_S)


def judge_followers(outcome: Outcome, followers: list[Follower]) -> None:
    """Note followers that are not at the end, or whose sequence has gaps or repetitions."""
    unfinished = sum(not each.over for each in followers)
    broken = [each for each in followers if each.seen != list(range(1, len(each.seen) + 1))]
    outcome.expect(unfinished == 0, f"{unfinished} of {len(followers)} clients never saw the end")
    outcome.expect(not broken, f"{len(broken)} clients missed events or got them twice")
    lengths: dict[str, set[int]] = {}
    for each in followers:
        lengths.setdefault(each.launch, set()).add(len(each.seen))
    outcome.expect(all(len(found) == 1 for found in lengths.values()), "clients of one launch saw different events")
    outcome.measured.append(f"{sum(len(each.seen) for each in followers)} events received, none missed or repeated")


async def drill_drain(folder: Path, launches: int, clients: int) -> Outcome:
    """End a gateway with SIGTERM while clients follow and requests are under way."""
    outcome = Outcome(f"SIGTERM with {clients} clients")
    async with world(folder, clock_factor=5) as drilled:
        gateway, other = await drilled.gateway(), await drilled.gateway()
        worker = drilled.process("worker")
        ordered = await drilled.launch(gateway, launches)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            followers = [Follower([gateway, other], http, ordered[n % launches], 0) for n in range(clients)]
            following = [asyncio.create_task(each.follow(time.monotonic() + _OVER_S)) for each in followers]
            await _until_connected(followers)
            requests = [asyncio.create_task(_read(gateway, http)) for _ in range(20)]
            await asyncio.sleep(0.05)
            outcome.measured.append(f"a gateway ended in {await _ended(gateway.process, outcome):.1f} s")
            answered = Counter(await asyncio.gather(*requests))
            outcome.expect(set(answered) == {200}, f"requests under way were answered with {dict(answered)}")
            outcome.measured.append(f"a worker ended in {await _ended(worker, outcome):.1f} s")
            codes = sum((each.codes for each in followers), Counter[int]())
            drilled.process("worker")
            for task in following:
                task.cancel()
        outcome.expect(sum(codes.values()) == clients, f"{sum(codes.values())} of {clients} clients got a close code")
        outcome.expect(set(codes) <= _RECONNECTING - {1006}, f"sockets were closed with {dict(codes)}")
        outcome.measured.append(f"close codes {dict(codes)}; requests under way {dict(answered)}")
        await drilled.judge(outcome, await drilled.until_over(lambda: other, ordered), launches)
    return outcome


async def _read(gateway: Gateway, http: aiohttp.ClientSession) -> int:
    document = (OPERATIONS / "Launches.graphql").read_text()
    try:
        async with http.post(f"{gateway.url}/graphql", json={"query": document}) as reply:
            await reply.read()
            return reply.status
    except (aiohttp.ClientError, OSError):
        return 0


async def _ended(process: Process, outcome: Outcome) -> float:
    """Send SIGTERM, and return how long the process took to end."""
    began = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    status = await asyncio.to_thread(process.popen.wait, 60)
    took = time.monotonic() - began
    outcome.expect(took <= _DRAIN_S + 1, f"a process took {took:.1f} s to end")
    outcome.expect(status == 0, f"a process ended with status {status}")
    return took


async def drill_upgrade(folder: Path, launches: int) -> Outcome:
    """Replace gateway and worker by another build while launches are under way and machines are there."""
    outcome = Outcome(f"an upgrade with {launches} launches and {launches} machines")
    async with world(folder, clock_factor=30) as drilled:
        old_gateway = await drilled.gateway()
        old_worker = drilled.process("worker", environment={"WORKER_BUILD_ID": "one"})
        there = await drilled.launch(old_gateway, launches, "settled")
        statuses = await drilled.until_over(lambda: old_gateway, there)
        ordered = await drilled.launch(old_gateway, launches, "moving")
        await asyncio.sleep(5)
        tree = await asyncio.to_thread(_copied, folder / "build-two")
        drilled.process("worker", server=tree, environment={"WORKER_BUILD_ID": "two"})
        new_gateway = await drilled.gateway()
        await _ended(old_gateway.process, outcome)
        statuses |= await drilled.until_over(lambda: new_gateway, ordered)
        await _ended(old_worker, outcome)
        after = await drilled.launch(new_gateway, 2, "later")
        statuses |= await drilled.until_over(lambda: new_gateway, after)
        await drilled.judge(outcome, statuses, 2 * launches + 2)
    return outcome


def _copied(folder: Path) -> Path:
    """Return the server of a copy of the tree: another build."""
    ignored = shutil.ignore_patterns(".*", "node_modules", "tests", "bench", "__pycache__")
    return Path(shutil.copytree(ROOT, folder, ignore=ignored)) / "server.py"


async def drill_kills(folder: Path, launches: int, minutes: float) -> Outcome:
    """Kill one of three gateways and three workers every few seconds, under load."""
    outcome = Outcome(f"kill -9 every {_KILL_EVERY_S:g} s for {minutes:g} minutes")
    async with world(folder, clock_factor=100) as drilled:
        gateways = [await drilled.gateway() for _ in range(3)]
        workers = [drilled.process("worker") for _ in range(3)]
        chance = random.Random(1)  # noqa: S311 - not a secret
        until = time.monotonic() + 60 * minutes
        load = asyncio.create_task(_load(drilled, gateways, launches, until))
        killed: Counter[str] = Counter()
        while time.monotonic() < until:
            await asyncio.sleep(_KILL_EVERY_S)
            place = chance.randrange(3)
            if chance.random() < 0.5:
                await asyncio.to_thread(workers[place].kill)
                workers[place] = drilled.process("worker")
                killed["workers"] += 1
            else:
                await asyncio.to_thread(gateways[place].process.kill)
                gateways[place] = await drilled.gateway()
                killed["gateways"] += 1
        ordered = await load
        statuses = await drilled.until_over(lambda: chance.choice(gateways), ordered)
        outcome.measured.append(f"{killed['gateways']} gateways and {killed['workers']} workers killed")
        await drilled.judge(outcome, statuses, len(ordered))
    return outcome


async def _load(drilled: World, gateways: list[Gateway], at_once: int, until: float) -> list[str]:
    """Order launches one after the other in so many lanes; each has a key, so that a repetition orders nothing."""
    numbers = itertools.count()

    async def lane() -> list[str]:
        ordered: list[str] = []
        while time.monotonic() < until:
            number = next(numbers)
            ordered.append(await _order(gateways, number))
            await asyncio.sleep(2)
        return ordered

    lanes = await asyncio.gather(*(lane() for _ in range(at_once)))
    return [launch for each in lanes for launch in each]


async def _order(gateways: list[Gateway], number: int) -> str:
    """Order one launch, at another gateway whenever one dies."""
    for turn in itertools.count(number):
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError, AssertionError):
            gateway = gateways[turn % len(gateways)]
            return await gateway.launch(userId=f"load-{number}", idempotencyKey=f"load-{number}")
        await asyncio.sleep(_PAUSE_S)
    raise AssertionError("unreachable")
