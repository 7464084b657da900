"""One service: how it is started, what it does while it runs, how it ends."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from simulator.machines import users
from simulator.machines.programs.call import ROOT
from simulator.machines.shell.streams import Bytes, Streams
from simulator.machines.systemd.unit import Unit, span_s

if TYPE_CHECKING:
    from simulator.machines.machine import Machine

START_TIMEOUT_S = 90.0
PATIENCE_REAL_S = 10.0  # what a service really does takes real time, however fast the clock
RESTART_DELAY_S = 0.1
RESTARTS_LIMIT = 5
NOTIFY_FOLDER = "/run/systemd/notify"


class Service:
    def __init__(self, machine: Machine, unit: Unit) -> None:
        self.unit = unit
        self.state = "inactive"
        self.result = "success"
        self.status = 0
        self.started_at = 0.0
        self._machine = machine
        self._ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._main: asyncio.Task[object] | None = None

    @property
    def type(self) -> str:
        return self.unit.get("Service", "Type", "simple")

    @property
    def sub_state(self) -> str:
        if self.state == "active":
            return "running" if self._main and not self._main.done() else "exited"
        return {"inactive": "dead", "activating": "start"}.get(self.state, self.state)

    async def start(self) -> bool:
        """Until it counts as started; whether it does. Started already: nothing happens."""
        if self.state == "activating":
            await self._settled.wait()
            return self.state != "failed"
        if self.state == "active":
            return True
        self.state, self.result, self.status = "activating", "success", 0
        self.started_at = self._machine.clock.now()
        self._settled.clear()
        try:
            return await self._start()
        finally:
            self._settled.set()

    async def stop(self) -> None:
        """Until it is stopped. Stopped already: nothing happens."""
        was_active = self.state == "active"
        self.state = "deactivating" if was_active else "inactive"
        if was_active:
            await self._run_all("ExecStop")
        if self._main and not self._main.done():
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        self.state = "inactive"
        await self._run_all("ExecStopPost")

    def power_cut(self) -> None:
        self.state, self._main = "inactive", None

    def notify_ready(self) -> None:
        self._ready.set()

    async def _start(self) -> bool:
        if not await self._run_all("ExecStartPre"):
            return self._fail("exit-code")
        try:
            started = await self._start_main()
        except asyncio.CancelledError:
            self.state = "inactive"
            raise
        except FileNotFoundError:
            return self._fail("resources")
        if started and not await self._run_all("ExecStartPost"):
            return self._fail("exit-code")
        return started

    async def _start_main(self) -> bool:
        if self.type in ("oneshot", "forking"):
            if not await self._run_all("ExecStart"):
                return self._fail("exit-code")
            stays = self.type == "forking" or self.unit.says_yes("Service", "RemainAfterExit")
            self.state = "active" if stays else "inactive"
            return True
        self._ready.clear()
        self._main = self._machine.in_background(self._keep_running())
        if self.type == "notify":
            return await self._until_ready(self._main)
        self.state = "active"
        return True

    async def _until_ready(self, main: asyncio.Task[object]) -> bool:
        ready = asyncio.create_task(self._ready.wait())
        limit = span_s(self.unit.get("Service", "TimeoutStartSec", f"{START_TIMEOUT_S}"))
        timeout = asyncio.create_task(asyncio.sleep(max(self._machine.clock.real_seconds(limit), PATIENCE_REAL_S)))
        try:
            await asyncio.wait({main, ready, timeout}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            timeout.cancel()
        if self._ready.is_set():
            self.state = "active"
            return True
        main.cancel()
        return self._fail("exit-code" if main.done() else "timeout")

    async def _keep_running(self) -> None:
        """The main process, again and again where the unit says so."""
        for attempt in range(RESTARTS_LIMIT + 1):
            if attempt:
                await self._machine.clock.sleep(span_s(self.unit.get("Service", "RestartSec", f"{RESTART_DELAY_S}")))
            ended_well = await self._run_all("ExecStart")
            policy = self.unit.get("Service", "Restart", "no")
            if self.state == "activating" or policy == "no" or (policy == "on-failure" and ended_well):
                break
        if self.state == "active":
            self.state, self.result = ("inactive", "success") if ended_well else ("failed", "exit-code")

    async def _run_all(self, key: str) -> bool:
        """Every command of a key, in their order, until one fails that must not."""
        for command in self.unit.every("Service", key):
            self.status = await self._run(command)
            if self.status and "-" not in _prefix(command):
                return False
        return True

    async def _run(self, command: str) -> int:
        user = users.find(self._machine.tree, self.unit.get("Service", "User", "root")) or ROOT
        output = self._machine.journal.of(self.unit.name)
        environment = {"NOTIFY_SOCKET": f"{NOTIFY_FOLDER}/{self.unit.name}"} if self.type == "notify" else {}
        environment |= self._environment()
        shell = self._machine.shell(user, environment, self.unit.get("Service", "WorkingDirectory", "/").lstrip("-"))
        argv = [_expanded(word, environment) for word in shlex.split(command[len(_prefix(command)) :])]
        return await shell.start(argv, Streams(Bytes(), output, output))

    def _environment(self) -> dict[str, str]:
        environment: dict[str, str] = {}
        for value in self.unit.every("Service", "Environment"):
            environment |= dict(_assignments(shlex.split(value)))
        for path in self.unit.every("Service", "EnvironmentFile"):
            files = self._machine.root_files
            if files.is_file(path.removeprefix("-")):
                environment |= dict(_assignments(files.read_text(path.removeprefix("-")).splitlines()))
            elif not path.startswith("-"):
                self._machine.journal.append(self.unit.name, b"Failed to load environment files\n")
                raise FileNotFoundError(path)
        return environment

    def _fail(self, result: str) -> bool:
        self.state, self.result = "failed", result
        return False


def _prefix(command: str) -> str:
    return command[: len(command) - len(command.lstrip("-@:+!"))]


def _assignments(lines: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in lines:
        name, given, value = line.strip().partition("=")
        if given and not name.startswith(("#", ";")):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            found.append((name.strip(), value[1:-1] if quoted else value))
    return found


def _expanded(word: str, environment: dict[str, str]) -> str:
    """systemd's own, simpler substitution; a doubled `%` is a plain one."""
    for name, value in environment.items():
        word = word.replace(f"${{{name}}}", value)
    if word.startswith("$") and word[1:] in environment:
        return environment[word[1:]]
    return word.replace("%%", "%").replace("$$", "$")
