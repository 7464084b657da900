"""Services and timers of one machine: units are files of its tree, as `systemctl` left them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from simulator.machines.systemd.service import Service
from simulator.machines.systemd.unit import Unit, span_s

if TYPE_CHECKING:
    from simulator.machines.machine import Machine

SYSTEM_FOLDER = "/etc/systemd/system"
TRANSIENT_FOLDER = "/run/systemd/transient"
SEARCHED = (SYSTEM_FOLDER, TRANSIENT_FOLDER, "/usr/lib/systemd/system")
# Part of every machine and never off here; those with a package only where it is installed.
ALWAYS_ON = {"ssh.service": "openssh-server", "docker.service": "docker", "cron.service": "", "cloud-init.service": ""}
SHORTEST_ROUND_REAL_S = 0.05
SCHEDULED_SHUTDOWN = "systemd-shutdown"  # logind's own, and no timer unit on a real machine
MOMENT = "%Y-%m-%d %H:%M:%S UTC"


class NoSuchUnitError(Exception):
    """There is no file for this unit."""


class Systemd:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._services: dict[str, Service] = {}
        self._timers: dict[str, asyncio.Task[object]] = {}
        self._loaded: dict[str, Unit] = {}
        self._moments: dict[str, float] = {}

    async def start(self, name: str) -> bool:
        """Start a unit and what it needs; whether it started. Raises NoSuchUnitError."""
        if self._is_given(name):
            return True
        unit = self.unit(name)
        for needed in unit.needs():
            if self._is_given(needed) or self._path(needed):
                await self.start(needed)
        if name.endswith(".timer"):
            self._start_timer(unit)
            return True
        return await self._service(unit).start()

    async def stop(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
        elif name in self._services:
            await self._services[name].stop()
        elif not self._is_given(name):
            self.unit(name)
        self._forget_transient(name)

    async def restart(self, name: str) -> bool:
        await self.stop(name)
        return await self.start(name)

    def state(self, name: str) -> str:
        """`active`, `inactive`, `failed` or `activating`; inactive for what is not there."""
        if name in self._timers:
            return "active"
        if self._is_given(name):
            return "active"
        return self._services[name].state if name in self._services else "inactive"

    def service(self, name: str) -> Service | None:
        """What is known of a service that was started or that failed."""
        return self._services.get(name)

    def unit(self, name: str) -> Unit:
        """The unit as it was when it was first looked at: a changed file counts after `reload`."""
        if name not in self._loaded:
            path = self._path(name)
            if not path:
                raise NoSuchUnitError(name)
            self._loaded[name] = Unit.parse(name, path, self._machine.root_files.read_text(path))
        return self._loaded[name]

    def reload(self) -> None:
        """Read all units again. Running timers are set up again too: what counts from their activation begins again,
        as in systemd itself (issue 31914); moments and what counts from the boot do not move."""
        self._loaded.clear()
        for name in list(self._timers):
            if self._path(name) and not name.startswith(SCHEDULED_SHUTDOWN):
                self._timers.pop(name).cancel()
                self._start_timer(self.unit(name))

    def reset_failed(self) -> None:
        for service in self._services.values():
            if service.state == "failed":
                service.state = "inactive"

    def enable(self, name: str) -> list[str]:
        """Make the links that start it at boot, and name them."""
        files = self._machine.root_files
        unit = self.unit(name)
        links = [f"{SYSTEM_FOLDER}/{target}.wants/{name}" for target in unit.wanted_by()]
        made = [link for link in links if not files.exists(link)]
        for link in made:
            files.mkdir(link.rpartition("/")[0], parents=True)
            files.symlink(unit.path, link)
        return made

    def disable(self, name: str) -> None:
        for target in self._targets():
            link = f"{SYSTEM_FOLDER}/{target}/{name}"
            if name in self._machine.root_files.listdir(f"{SYSTEM_FOLDER}/{target}"):
                self._machine.root_files.remove(link)

    def is_enabled(self, name: str) -> bool:
        wants = (self._machine.root_files.listdir(f"{SYSTEM_FOLDER}/{target}") for target in self._targets())
        return self._is_given(name) or any(name in names for names in wants)

    def start_transient(self, name: str, text: str) -> None:
        """Write a unit that lives until it is stopped or the machine reboots."""
        self._machine.root_files.mkdir(TRANSIENT_FOLDER, parents=True)
        self._machine.root_files.write(f"{TRANSIENT_FOLDER}/{name}", text)
        self._loaded.pop(name, None)

    def has(self, name: str) -> bool:
        return bool(self._path(name))

    def timers(self) -> list[str]:
        return sorted(self._timers)

    def notify_ready(self, socket: str) -> None:
        """A service with this NOTIFY_SOCKET says that it is ready."""
        if service := self._services.get(socket.rpartition("/")[2]):
            service.notify_ready()

    async def start_up(self) -> None:
        files = self._machine.root_files
        if files.exists(TRANSIENT_FOLDER):
            files.remove(TRANSIENT_FOLDER, recursive=True)
        names = {name for target in self._targets() for name in files.listdir(f"{SYSTEM_FOLDER}/{target}")}
        await asyncio.gather(*(self.start(name) for name in sorted(names) if self._path(name)))

    async def stop_all(self) -> None:
        """In the reverse order of their start, each with its ExecStop."""
        for name in list(self._timers):
            self._timers.pop(name).cancel()
        for service in sorted(self._services.values(), key=lambda one: one.started_at, reverse=True):
            await service.stop()

    def power_cut(self) -> None:
        self._timers.clear()
        self._services.clear()
        self._loaded.clear()

    def _service(self, unit: Unit) -> Service:
        known = self._services.get(unit.name)
        if known is None or (known.unit is not unit and known.state not in ("active", "activating")):
            self._services[unit.name] = Service(self._machine, unit)
        return self._services[unit.name]

    def _start_timer(self, unit: Unit) -> None:
        if unit.name not in self._timers:
            self._timers[unit.name] = self._machine.in_background(self._tick(unit))

    async def _tick(self, unit: Unit) -> None:
        wanted = unit.get("Timer", "Unit", f"{unit.name.removesuffix('.timer')}.service")
        clock = self._machine.clock
        since_boot = clock.now() - self._machine.booted_at
        firsts = [span_s(text) for text in unit.every("Timer", "OnActiveSec")]
        firsts += [max(0.0, span_s(text) - since_boot) for text in unit.every("Timer", "OnBootSec")]
        firsts += [left for text in unit.every("Timer", "OnCalendar") if (left := self._until(text)) > 0]
        again = unit.get("Timer", "OnUnitActiveSec") or unit.get("Timer", "OnUnitInactiveSec")
        if firsts:
            await clock.sleep(min(firsts))
            await self.start(wanted)
        while again:
            await asyncio.sleep(max(clock.real_seconds(span_s(again)), SHORTEST_ROUND_REAL_S))
            await self.start(wanted)
        if unit.path.startswith(TRANSIENT_FOLDER):
            self._timers.pop(unit.name, None)
            self._forget_transient(unit.name)
            return
        await asyncio.Event().wait()

    def _until(self, moment: str) -> float:
        """Return the simulated seconds until a moment, which keeps its place on the simulated clock."""
        clock = self._machine.clock
        if moment not in self._moments:
            left_s = datetime.strptime(moment, MOMENT).replace(tzinfo=UTC).timestamp() - datetime.now(UTC).timestamp()
            self._moments[moment] = clock.now() + left_s
        return self._moments[moment] - clock.now()

    def _forget_transient(self, name: str) -> None:
        path = f"{TRANSIENT_FOLDER}/{name}"
        if self._machine.root_files.exists(path):
            self._machine.root_files.remove(path)
            self._loaded.pop(name, None)
        if name.endswith(".timer") and self._machine.root_files.exists(path.replace(".timer", ".service")):
            self._forget_transient(name.replace(".timer", ".service"))

    def _path(self, name: str) -> str | None:
        candidates = (f"{folder}/{name}" for folder in SEARCHED)
        return next((path for path in candidates if self._machine.root_files.is_file(path)), None)

    def _targets(self) -> list[str]:
        return [name for name in self._machine.root_files.listdir(SYSTEM_FOLDER) if name.endswith(".wants")]

    def _is_given(self, name: str) -> bool:
        if name.endswith((".target", ".mount", ".socket", ".slice")):
            return not self._path(name)
        package = ALWAYS_ON.get(name)
        return package is not None and (package != "docker" or self._machine.which("docker") is not None)
