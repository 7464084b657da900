"""One service: how it starts, what it does while it runs, how it ends."""

from __future__ import annotations

import asyncio
import shlex

from simulator.machines.command import Bytes, Command, Run, Streams, login_environment
from simulator.machines.host import Host
from simulator.machines.journal import JournalOfUnit
from simulator.machines.systemd.unit import Unit, span_s
from simulator.machines.users import ROOT

START_TIMEOUT_S = "90"
PATIENCE_REAL_S = 10.0  # a service does its real work in real time, however fast the clock
RESTART_DELAY_S = "0.1"
RESTARTS_LIMIT = 5
NOTIFY_FOLDER = "/run/systemd/notify"
RUNTIME_FOLDER = "/run"


class Service:
    """`state` is `inactive`, `activating`, `active`, `deactivating` or `failed`; `result` says why it failed."""

    def __init__(self, host: Host, unit: Unit, run: Run) -> None:
        self.unit = unit
        self.state = "inactive"
        self.result = "success"
        self.started_at = 0.0
        self._host = host
        self._run_program = run
        self._ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._main: asyncio.Task[object] | None = None

    async def start(self) -> bool:
        """Return whether it started. A service that is active stays as it is."""
        if self.state == "activating":
            await self._settled.wait()
            return self.state != "failed"
        if self.state == "active":
            return True
        self.state, self.result = "activating", "success"
        self.started_at = self._host.clock.now()
        self._settled.clear()
        try:
            return await self._start()
        except FileNotFoundError:
            return self._fail("resources")
        except asyncio.CancelledError:
            self.state = "inactive"
            raise
        finally:
            self._settled.set()

    async def stop(self) -> None:
        """Run the stop commands and end the main process. May be repeated."""
        was_active = self.state == "active"
        self.state = "deactivating" if was_active else "inactive"
        if was_active:
            await self._run_all("ExecStop")
        if self._main and not self._main.done():
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        self.state = "inactive"

    def notify_ready(self) -> None:
        self._ready.set()

    async def _start(self) -> bool:
        self._create_runtime_folder()
        if not await self._run_all("ExecStartPre"):
            return self._fail("exit-code")
        kind = self.unit.get("Service", "Type", "simple")
        if kind == "oneshot":
            if not await self._run_all("ExecStart"):
                return self._fail("exit-code")
            self.state = "inactive"
            return True
        self._ready.clear()
        self._main = self._host.in_background(self._keep_running())
        if kind == "notify":
            return await self._wait_until_ready(self._main)
        self.state = "active"
        return True

    async def _wait_until_ready(self, main: asyncio.Task[object]) -> bool:
        ready = asyncio.create_task(self._ready.wait())
        limit_s = span_s(self.unit.get("Service", "TimeoutStartSec", START_TIMEOUT_S))
        try:
            timeout_s = max(self._host.clock.real_seconds(limit_s), PATIENCE_REAL_S)
            await asyncio.wait({main, ready}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._ready.is_set():
            self.state = "active"
            return True
        main.cancel()
        return self._fail("exit-code" if main.done() else "timeout")

    async def _keep_running(self) -> None:
        """Run the main process, and again after it failed where the unit says so."""
        for attempt in range(RESTARTS_LIMIT + 1):
            if attempt:
                await self._host.clock.sleep(span_s(self.unit.get("Service", "RestartSec", RESTART_DELAY_S)))
            ended_well = await self._run_all("ExecStart")
            policy = self.unit.get("Service", "Restart", "no")
            if self.state == "activating" or policy == "no" or (policy == "on-failure" and ended_well):
                break
        if self.state == "active":
            self.state, self.result = ("inactive", "success") if ended_well else ("failed", "exit-code")

    async def _run_all(self, key: str) -> bool:
        """Run the commands of a key until one fails that has no `-` in front, and return whether none did."""
        for command in self.unit.every("Service", key):
            if await self._run(command.removeprefix("-")) and not command.startswith("-"):
                return False
        return True

    async def _run(self, command: str) -> int:
        output = JournalOfUnit(self._host.journal, self.unit.name)
        environment = login_environment(ROOT) | {"NOTIFY_SOCKET": f"{NOTIFY_FOLDER}/{self.unit.name}"}
        argv = tuple(word.replace("%%", "%") for word in shlex.split(command))
        streams = Streams(Bytes(), output, output)
        return await self._run_program(Command(argv, ROOT, streams, "/", environment | self._environment()))

    def _create_runtime_folder(self) -> None:
        """Create the unit's folder in memory, empty."""
        files = self._host.root_files
        if name := self.unit.get("Service", "RuntimeDirectory"):
            folder = f"{RUNTIME_FOLDER}/{name}"
            files.mkdir(folder, parents=True)
            for each in files.listdir(folder):
                files.remove(f"{folder}/{each}")

    def _environment(self) -> dict[str, str]:
        environment: dict[str, str] = {}
        if name := self.unit.get("Service", "RuntimeDirectory"):
            environment["RUNTIME_DIRECTORY"] = f"{RUNTIME_FOLDER}/{name}"
        for path in self.unit.every("Service", "EnvironmentFile"):
            if not self._host.root_files.is_file(path):
                self._host.journal.append(self.unit.name, b"Failed to load environment files\n")
                raise FileNotFoundError(path)
            for line in self._host.root_files.read_text(path).splitlines():
                name, given, value = line.strip().partition("=")
                if given and not name.startswith(("#", ";")):
                    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
                    environment[name] = value[1:-1] if is_quoted else value
        return environment

    def _fail(self, result: str) -> bool:
        self.state, self.result = "failed", result
        return False
