"""Checks that memory stays flat and a healthy client is served while a gateway is attacked in every way at once.

    python -m bench.load_under_attack [--minutes 10] [--pause-s 0.3] [--seed 1]

Starts a gateway process with its default limits, runs all attacks of `bench.attacks`, and sends requests as a healthy
client at the same time. Prints the gateway's memory and the healthy client's latency every half minute. Exits with 1
if the healthy client was ever refused or waited longer than two seconds, or if memory grew by more than 24 MB after the
first third.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from bench.attacks import ATTACKS, SECRET, Target, token
from embedded.services import EmbeddedServices
from tests.e2e.service import Gateway, deployment

_MOST_WAITING_S: Final = 2.0
_MOST_GROWTH_MB: Final = 24.0
_LOOK_EVERY_S: Final = 30.0
_QUERY: Final = "{ viewer { id role } vms(first: 5) { edges { node { id status } } } }"


@dataclass
class AttackLoad:
    """One run and its observations."""

    gateway: Gateway
    pause_s: float
    rounds: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    waited_s: list[float] = field(default_factory=list)
    all_waited_s: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    memory_mb: list[float] = field(default_factory=list)

    async def attack(self, name: str, attack: Callable[[Target], Awaitable[None]], target: Target) -> None:
        while True:
            try:
                await attack(target)
            except (aiohttp.ClientError, ConnectionError, TimeoutError, asyncio.IncompleteReadError) as error:
                self.failures[f"{name}: {type(error).__name__}"] += 1
            self.rounds[name] += 1
            await asyncio.sleep(target.chance.uniform(0, 2 * self.pause_s))

    async def be_healthy(self, http: aiohttp.ClientSession) -> None:
        headers = {"Authorization": f"Bearer {token('healthy', 'service')}"}
        while True:
            begun = time.perf_counter()
            async with http.post(f"{self.gateway.url}/graphql", json={"query": _QUERY}, headers=headers) as answer:
                content = await answer.json()
            self.waited_s.append(time.perf_counter() - begun)
            if answer.status != 200 or "errors" in content:
                self.refused[answer.status] += 1
            await asyncio.sleep(0.2)

    async def look(self) -> None:
        begun = time.monotonic()
        say(f"{'s':>5} {'MB':>7} {'open':>5}   healthy: {'n':>4} {'median ms':>9} {'99 % ms':>8} {'most ms':>8}")
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            waited, self.waited_s = sorted(self.waited_s) or [0.0], []
            self.all_waited_s += waited
            self.memory_mb.append(self._memory_mb())
            files = len(os.listdir(f"/proc/{self.gateway.process.popen.pid}/fd"))
            told = (waited[len(waited) // 2], waited[int(len(waited) * 0.99)], waited[-1])
            median, most_of_all, most = (f"{1000 * one:.0f}" for one in told)
            head = f"{time.monotonic() - begun:5.0f} {self.memory_mb[-1]:7.1f} {files:5}"
            say(f"{head}            {len(waited):4} {median:>9} {most_of_all:>8} {most:>8}")

    def faults(self) -> list[str]:
        found = [f"the healthy client was answered {status} {n} times" for status, n in self.refused.items()]
        if max(self.all_waited_s, default=0) > _MOST_WAITING_S:
            found.append(f"the healthy client waited {max(self.all_waited_s):.1f} s")
        settled = self.memory_mb[len(self.memory_mb) // 3 :]
        if settled and settled[-1] - settled[0] > _MOST_GROWTH_MB:
            found.append(f"memory grew from {settled[0]:.0f} to {settled[-1]:.0f} MB")
        return found

    def _memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.gateway.process.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def attack(gateway: Gateway, minutes: float, pause_s: float, seed: int) -> AttackLoad:
    """Let all attackers and one healthy client send requests for this time."""
    load = AttackLoad(gateway, pause_s)
    host, port = gateway.url.removeprefix("http://").split(":")
    connector = aiohttp.TCPConnector(limit=500)
    async with aiohttp.ClientSession() as healthy, aiohttp.ClientSession(connector=connector) as http:
        jobs = [asyncio.create_task(load.look()), asyncio.create_task(load.be_healthy(healthy))]
        for name, attack in ATTACKS.items():
            target = Target(host, int(port), http, random.Random(f"{seed}:{name}"))  # noqa: S311 - not a secret
            jobs.append(asyncio.create_task(load.attack(name, attack, target)))
        ended, _ = await asyncio.wait(jobs, timeout=60 * minutes, return_when=asyncio.FIRST_COMPLETED)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    for job in ended:
        job.result()
    return load


async def run(minutes: float, pause_s: float, seed: int) -> AttackLoad:
    """Run a gateway with its database, and attack it."""
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        async with EmbeddedServices(folder / "embedded", simulator=None) as running:
            assert running.mongodb_uri is not None
            assert running.temporal_address is not None
            async with deployment(folder, running.mongodb_uri, running.temporal_address) as deployed:
                deployed.environment |= {"JWT_SECRET": SECRET, "LOG_LEVEL": "WARNING"}
                return await attack(await deployed.gateway(), minutes, pause_s, seed)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pause-s", type=float, default=0.3, help="mean pause of an attacker between two rounds")
    parser.add_argument("--seed", type=int, default=1)
    load = asyncio.run(run(**vars(parser.parse_args())))
    for name, count in sorted(load.rounds.items()):
        say(f"{count:6} rounds of {name}")
    for name, count in sorted(load.failures.items()):
        say(f"{count:6} ended early, {name}")
    faults = load.faults()
    say("\n".join(faults) or "memory is flat, and the healthy client was served all the while")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
