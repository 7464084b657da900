"""The deployment that a drill is done on: real processes, with a proxy before the database, Temporal and the clouds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from bench.drill_wire import Readings, Wire, wire
from embedded.ports import free_port
from embedded.services import EmbeddedServices
from tests.e2e.service import SERVER, Deployment, Gateway, Process, deployment
from tests.fault_proxy import FaultProxy, fault_proxy

_SETTLE_S: Final = 420.0
_EVERY_S: Final = 1.0


@dataclass
class Outcome:
    """What a drill measured, and what was wrong."""

    name: str
    measured: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def expect(self, fine: bool, otherwise: str) -> None:
        """Note a fault unless it is fine."""
        if not fine:
            self.faults.append(otherwise)


@dataclass
class World:
    """A deployment and what stands between it and its dependencies."""

    deployed: Deployment
    database: Wire
    commands: FaultProxy
    temporal: Wire
    cloud: Wire
    folder: Path

    async def gateway(self, *prefix: str, **environment: str) -> Gateway:
        """Start a gateway as a program of its own; `prefix` is a command that runs it."""
        port = free_port()
        process = self.process("gateway", *prefix, environment={**environment, "PORT": str(port)})
        gateway = Gateway(f"http://127.0.0.1:{port}", self.deployed.http, process)
        await gateway.until_up()
        return gateway

    def process(
        self, role: str, *prefix: str, server: Path = SERVER, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process of a role."""
        log = self.folder / f"{role}-{len(self.deployed.processes)}.log"
        command = [*prefix, sys.executable, str(server), "--role", role]
        whole = {**_surroundings(), **self.deployed.environment, **(environment or {})}
        with log.open("wb") as file:
            popen = subprocess.Popen(  # noqa: S603 - our own program
                command, cwd=self.folder, env=whole, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        process = Process(popen, log)
        self.deployed.processes.append(process)
        return process

    def readings(self, gateway: Gateway) -> Readings:
        """Return the readings of a gateway's /ready."""
        return Readings(gateway.url, self.deployed.http)

    async def launch(self, gateway: Gateway, count: int, prefix: str = "player") -> list[str]:
        """Order launches at once, and return their ids."""
        orders = (gateway.launch(userId=f"{prefix}-{number}") for number in range(count))
        return list(await asyncio.gather(*orders))

    async def until_begun(self, gateway: Gateway, launches: list[str]) -> None:
        """Wait until a worker has begun all of them."""
        async with asyncio.timeout(_SETTLE_S):
            waiting = list(launches)
            while True:
                answers = [await gateway.data("Launch", {"id": launch}) for launch in waiting]
                waiting = [each["launch"]["id"] for each in answers if each["launch"]["status"] == "QUEUED"]
                if not waiting:
                    return
                await asyncio.sleep(_EVERY_S / 4)

    async def until_over(self, gateway: Callable[[], Gateway], launches: list[str]) -> dict[str, str]:
        """Wait until no launch is under way, asking any gateway that responds. Return their statuses."""
        statuses: dict[str, str] = {}
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            for launch in launches:
                if statuses.get(launch) not in {"READY", "FAILED", "CANCELLED"}:
                    with contextlib.suppress(AssertionError, aiohttp.ClientError, OSError, ValueError):
                        answer = await gateway().data("Launch", {"id": launch})
                        statuses[launch] = answer["launch"]["status"]
            if set(statuses.values()) <= {"READY", "FAILED", "CANCELLED"} and len(statuses) == len(launches):
                break
            await asyncio.sleep(_EVERY_S)
        return statuses

    async def judge(self, outcome: Outcome, statuses: dict[str, str], machines: int) -> None:
        """Note launches that did not become READY, and machines that are missing or too many."""
        bad = {launch: status for launch, status in statuses.items() if status != "READY"}
        outcome.expect(not bad, f"{len(bad)} of {len(statuses)} launches are not READY: {sorted(set(bad.values()))}")
        names = [machine["name"] for machine in await self.deployed.machines()]
        outcome.expect(len(names) == len(set(names)) == machines, f"{len(names)} machines, {machines} were ordered")
        outcome.measured.append(f"{len(statuses) - len(bad)} of {len(statuses)} launches READY, {len(names)} machines")


@asynccontextmanager
async def world(folder: Path, *, clock_factor: float = 50, services: Path | None = None) -> AsyncIterator[World]:
    """Open a world. `services` is where the embedded database and Temporal keep their data."""
    async with AsyncExitStack() as stack:
        real = os.environ.get("TEST_MONGODB_URI")
        embedded = EmbeddedServices(services or folder / "services", mongodb=real is None, simulator=None)
        running = await stack.enter_async_context(embedded)
        mongodb_uri = real or running.mongodb_uri or ""
        commands = await stack.enter_async_context(fault_proxy(mongodb_uri))
        database = await stack.enter_async_context(wire(*_place(commands.uri)))
        temporal = await stack.enter_async_context(wire(*_place(f"tcp://{running.temporal_address}")))
        opened = deployment(folder, mongodb_uri, running.temporal_address or "", clock_factor=clock_factor)
        deployed = await stack.enter_async_context(opened)
        cloud_url = deployed.environment["TENSORDOCK_API_URL"]
        cloud = await stack.enter_async_context(wire(*_place(cloud_url)))
        deployed.environment |= {
            "MONGODB_ATLAS_URI": f"mongodb://127.0.0.1:{database.port}/?directConnection=true&heartbeatFrequencyMS=500",
            "TEMPORAL_ADDRESS": f"127.0.0.1:{temporal.port}",
            "TENSORDOCK_API_URL": f"http://127.0.0.1:{cloud.port}{urlsplit(cloud_url).path}",
            **{"TENSORDOCK_REQUESTS_PER_SECOND": "50", "RATE_LIMIT_PER_MINUTE": "1000000"},
            **{"MAX_SOCKETS_PER_CALLER": "10000", "MAX_IDLE_CONNECTIONS": "5000"},
        }
        yield World(deployed, database, commands, temporal, cloud, folder)


@asynccontextmanager
async def small_disk(folder: Path, megabytes: int) -> AsyncIterator[Path]:
    """Mount a file system of that size, and unmount it at the end. Needs root."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    await _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "drill", str(folder))
    try:
        yield folder
    finally:
        await _run("umount", "--lazy", str(folder))


def fill(folder: Path) -> Path:
    """Write a file until the disk is full, and return it."""
    path = folder / "filling"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
    return path


def lacking(*programs: str) -> str | None:
    """Return why a drill cannot be done here; None if it can."""
    if missing := [each for each in programs if shutil.which(each) is None]:
        return f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}"
    return None if os.geteuid() == 0 else "it needs root"


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 0


def _surroundings() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait() != 0:
        raise RuntimeError(f"{command[0]} failed")
