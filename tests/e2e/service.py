"""The service as it is run: processes of their own, spoken to from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from temporalio.client import Client

from embedded.ports import free_port
from settings import Settings
from tests.e2e.forks import Fork

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server.py"
OPERATIONS = ROOT / "graphql" / "operations"
DALLAS = {"latitude": 32.7767, "longitude": -96.7970}
MARIO = {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS}


def surroundings() -> dict[str, str]:
    """This process's environment without our settings. Whoever works here may have real accounts in the environment, or
    in a `.env` beside server.py: a service that a test starts gets neither, and runs in a folder of the test."""
    return {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}


@dataclass
class Process:
    """One process of ours; `kill` is kill -9."""

    popen: subprocess.Popen[bytes] | Fork
    log: Path

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def end(self, sign: signal.Signals = signal.SIGINT) -> None:
        """As Ctrl-C does; kill -9 when that does not help."""
        self.popen.send_signal(sign)
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@dataclass
class Deployment:
    """A simulated outside world, a database and an engine, and any number of gateways and workers before them."""

    folder: Path
    environment: dict[str, str]
    control_url: str
    http: aiohttp.ClientSession
    processes: list[Process] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.environment.get("DEPLOYMENT", "main")

    def second(self, name: str) -> Deployment:
        """Return another installation on the same cloud accounts, with a database, a queue and a key of its own."""
        own = {
            "DEPLOYMENT": name,
            "MONGODB_DATABASE": f"e2e_{secrets.token_hex(5)}",
            "TEMPORAL_TASK_QUEUE": f"e2e-{secrets.token_hex(5)}",
            "DATA_DIR": str(self.folder / f"data-{name}"),
        }
        return replace(self, environment={**self.environment, **own})

    def run(self, *arguments: str, **environment: str) -> Process:
        """Start the service with these arguments, and these variables beside those of the deployment.

        Variables that are no settings are for libraries, which read them as early as they are imported.
        """
        if not all(name.lower() in Settings.model_fields for name in (*self.environment, *environment)):
            return self.run_server(SERVER, *arguments, **environment)
        return self._added(Fork("server", arguments, self.folder, self._whole(environment), self._log()))

    def run_server(self, server: Path, *arguments: str, **environment: str) -> Process:
        """Start the service as a program, from any tree."""
        command = [sys.executable, str(server), *arguments]
        with self._log().open("wb") as file:
            return self._added(
                subprocess.Popen(
                    command, cwd=self.folder, env=self._whole(environment), stdout=file, stderr=subprocess.STDOUT
                )
            )

    def _whole(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {**surroundings(), **self.environment, **environment}

    def _log(self) -> Path:
        return self.folder / f"{len(self.processes)}.log"

    def _added(self, popen: subprocess.Popen[bytes] | Fork) -> Process:
        process = Process(popen, self._log())
        self.processes.append(process)
        return process

    async def gateway(self, **environment: str) -> Gateway:
        port = free_port()
        process = self.run("--role", "gateway", PORT=str(port), **environment)
        gateway = Gateway(f"http://127.0.0.1:{port}", self.http, process)
        await gateway.until_up()
        return gateway

    def worker(self, **environment: str) -> Process:
        return self.run("--role", "worker", **environment)

    async def machines(self) -> list[dict[str, Any]]:
        """The simulator's own list of the machines that exist."""
        async with self.http.get(f"{self.control_url}/machines") as reply:
            machines = (await reply.json())["machines"]
        return [machine for machine in machines if machine["name"].startswith("gamer-")]

    async def at_google(self) -> list[dict[str, Any]]:
        """The same at the simulated Google Cloud."""
        async with self.http.get(f"{self.control_url}/gcp/machines") as reply:
            machines: list[dict[str, Any]] = (await reply.json())["machines"]
        return machines

    async def others_left(self) -> None:
        """Hosts have the hardware back that they gave to others."""
        async with self.http.delete(f"{self.control_url}/others") as reply:
            assert reply.status == 200, await reply.text()

    async def called_off(self) -> None:
        async with self.http.delete(f"{self.control_url}/faults") as reply:
            assert reply.status == 200, await reply.text()

    def disk(self, machine_id: str, provider: str = "TENSORDOCK") -> Path:
        """What a simulated machine has on its disk."""
        name = machine_id if provider == "TENSORDOCK" else f"gcp-{machine_id}"
        return self.folder / "world" / "machines" / name / "root"

    @property
    def bucket(self) -> Path:
        return self.folder / "world" / "bucket" / self.environment["GCS_BUCKET_NAME"]

    async def bid_google(self, path: str, **body: Any) -> None:
        async with self.http.post(f"{self.control_url}/gcp/{path}", json=body) as reply:
            assert reply.ok, await reply.text()

    async def set_price(self, machine_id: str, usd_per_hour: Decimal) -> None:
        """Let TensorDock charge another price for a machine from now on."""
        body = {"usd_per_hour": str(usd_per_hour)}
        async with self.http.put(f"{self.control_url}/machines/{machine_id}/price", json=body) as reply:
            assert reply.ok, await reply.text()

    async def set_balance(self, usd: Decimal) -> None:
        async with self.http.put(f"{self.control_url}/balance", json={"usd": str(usd)}) as reply:
            assert reply.ok, await reply.text()

    async def fault(self, **order: Any) -> None:
        async with self.http.post(f"{self.control_url}/faults", json=order) as reply:
            assert reply.ok, await reply.text()


@dataclass
class Gateway:
    """One gateway process, as the web app speaks to it."""

    url: str
    http: aiohttp.ClientSession
    process: Process

    async def until_up(self) -> None:
        async with asyncio.timeout(90):
            while True:
                assert self.process.popen.poll() is None, self.process.log.read_text()
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.http.get(f"{self.url}/health") as reply:
                        if reply.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def ask(self, operation: str, variables: Mapping[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """Send a document of graphql/operations/ and return the whole answer."""
        document = (OPERATIONS / f"{operation}.graphql").read_text()
        body = {"query": document, "variables": variables or {}}
        async with self.http.post(f"{self.url}/graphql", json=body, headers=headers) as reply:
            answer: dict[str, Any] = await reply.json()
        return answer

    async def data(self, operation: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.ask(operation, variables)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    async def launch(self, **changes: Any) -> str:
        """Order a launch; returns its id."""
        payload = (await self.data("LaunchGame", {"input": {**MARIO, **changes}}))["launchGame"]
        assert payload["errors"] == [], payload
        return str(payload["launch"]["id"])

    async def follow(self, launch_id: str, after: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """The launch's progress, until the server completes it."""
        async for data in self.subscribe("LaunchProgress", {"launchId": launch_id, "after": after}):
            yield data["launchProgress"]

    async def subscribe(self, operation: str, variables: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """A subscription of graphql/operations/ over graphql-transport-ws, until the server completes it."""
        document = (OPERATIONS / f"{operation}.graphql").read_text()
        async with self.http.ws_connect(f"{self.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json({"type": "connection_init"})
            assert (await socket.receive_json())["type"] == "connection_ack"
            subscribe = {"query": document, "variables": variables}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": subscribe})
            async for message in socket:
                answer = json.loads(message.data)
                if answer["type"] == "ping":
                    await socket.send_json({"type": "pong"})
                elif answer["type"] == "next":
                    assert "errors" not in answer["payload"], answer
                    yield answer["payload"]["data"]
                else:
                    assert answer["type"] == "complete", answer
                    return

    async def machine(self, **changes: Any) -> str:
        """A machine that runs, after a launch of its own; returns its id."""
        launch_id = await self.launch(**changes)
        events = await self.until_over(launch_id)
        assert events[-1]["status"] == "READY", events[-1]
        return str((await self.data("Launch", {"id": launch_id}))["launch"]["vm"]["id"])

    async def vm(self, vm_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.data("Vm", {"id": vm_id}))["vm"]
        return found

    async def command(self, command: str, vm_id: str) -> dict[str, Any]:
        """`command` is start, stop, restart or delete; returns the payload."""
        payload: dict[str, Any] = (await self.data(f"{command.title()}Vm", {"vmId": vm_id}))[f"{command}Vm"]
        return payload

    async def until(self, vm_id: str, *statuses: str, within_s: float = 90) -> dict[str, Any]:
        """The VM as vmStatus tells it, once it has one of these statuses."""
        async with asyncio.timeout(within_s), aclosing(self.subscribe("VmStatus", {"vmId": vm_id})) as states:
            async for state in states:
                vm: dict[str, Any] = state["vmStatus"]
                if vm["status"] in statuses:
                    return vm
        raise AssertionError(f"{vm_id} ended, and never was {statuses}")

    async def until_over(self, launch_id: str) -> list[dict[str, Any]]:
        async with asyncio.timeout(100):
            return [event async for event in self.follow(launch_id)]


@contextlib.asynccontextmanager
async def deployment(
    folder: Path,
    mongodb_uri: str,
    temporal_address: str,
    *,
    clock_factor: float = 50,
    delays: str = "short",
) -> AsyncIterator[Deployment]:
    """Everything ends with the block: gateways, workers, and the simulator."""
    output = folder / "simulator.log"
    arguments = ["--port", "0", "--state-dir", str(folder / "world"), "--clock-factor", str(clock_factor)]
    arguments += ["--delays", delays]
    simulator = Fork("simulator", arguments, folder, os.environ, output)
    try:
        given = await asyncio.to_thread(_exported, simulator, output)
        environment = {
            **given,
            "MONGODB_ATLAS_URI": mongodb_uri,
            "MONGODB_DATABASE": f"e2e_{secrets.token_hex(5)}",
            "TEMPORAL_ADDRESS": temporal_address,
            "TEMPORAL_TASK_QUEUE": f"e2e-{secrets.token_hex(5)}",
            "DATA_DIR": str(folder / "data"),
            "TENSORDOCK_SETTLE_SECONDS": "5",  # the simulated list lags only where a test says so
        }
        async with aiohttp.ClientSession() as http:
            control = given["TENSORDOCK_API_URL"].removesuffix("/api") + "/_control"
            deployed = Deployment(folder, environment, control, http)
            try:
                yield deployed
            finally:
                for process in deployed.processes:
                    if process.popen.poll() is None:
                        await asyncio.to_thread(process.end)
                await forget_schedules(temporal_address, environment["TEMPORAL_TASK_QUEUE"])
    finally:
        simulator.terminate()
        await asyncio.to_thread(simulator.wait, 20)


async def forget_schedules(temporal_address: str, task_queue: str) -> None:
    """The engine is shared by all tests: it would go on beginning the work of a deployment that is gone."""
    client = await Client.connect(temporal_address)
    async for schedule in await client.list_schedules():
        if schedule.id.endswith(f"-{task_queue}"):
            await client.get_schedule_handle(schedule.id).delete()


def _exported(simulator: Fork, output: Path) -> dict[str, str]:
    """The variables that it prints for a shell, up to the line that says it serves."""
    while not (said := output.read_text() if output.exists() else "").endswith("\n") or "# the simulator" not in said:
        assert simulator.poll() is None, said
        time.sleep(0.02)
    exports = [words[1] for line in said.splitlines() if (words := shlex.split(line, comments=True))[:1] == ["export"]]
    return dict(variable.split("=", 1) for variable in exports)
