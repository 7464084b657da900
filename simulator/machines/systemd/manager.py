"""Services and timers of one machine. Their units are files on its disk."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from simulator.machines.command import Run
from simulator.machines.host import Host
from simulator.machines.systemd.service import Service
from simulator.machines.systemd.unit import Unit, span_s

SYSTEM_FOLDER = "/etc/systemd/system"
ALWAYS_ON = ("ssh.service", "docker.service")  # part of the image or of a package, and never off here
SHORTEST_ROUND_REAL_S = 0.05
MOMENT = "%Y-%m-%d %H:%M:%S UTC"


class NoSuchUnitError(Exception):
    """There is no file for this unit."""


class Systemd:
    def __init__(self, host: Host, run: Run) -> None:
        self._host = host
        self._run = run
        self._services: dict[str, Service] = {}
        self._timers: dict[str, asyncio.Task[object]] = {}
        self._loaded: dict[str, Unit] = {}
        self._moments: dict[str, float] = {}

    async def start(self, name: str) -> bool:
        """Start a unit and what it needs, and return whether it started. Raises NoSuchUnitError."""
        if self._is_given(name):
            return True
        unit = self.unit(name)
        for needed in unit.needs():
            if self._is_given(needed) or self._has_file(needed):
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

    async def restart(self, name: str) -> bool:
        await self.stop(name)
        return await self.start(name)

    def state(self, name: str) -> str:
        """Return `active`, `inactive`, `failed` or `activating`; inactive for a unit that is not there."""
        if name in self._timers or self._is_given(name):
            return "active"
        return self._services[name].state if name in self._services else "inactive"

    def service(self, name: str) -> Service | None:
        """Return a service that was started or that failed."""
        return self._services.get(name)

    def unit(self, name: str) -> Unit:
        """Return the unit as it was when it was first read: a changed file counts after `reload`."""
        if name not in self._loaded:
            if not self._has_file(name):
                raise NoSuchUnitError(name)
            path = f"{SYSTEM_FOLDER}/{name}"
            self._loaded[name] = Unit.parse(name, path, self._host.root_files.read_text(path))
        return self._loaded[name]

    def reload(self) -> None:
        """Read all units again and set running timers up again.

        Spans from a timer's activation begin again, as in systemd itself (its issue 31914). Moments and spans from the
        boot do not move.
        """
        self._loaded.clear()
        for name in list(self._timers):
            if self._has_file(name):
                self._timers.pop(name).cancel()
                self._start_timer(self.unit(name))

    def enable(self, name: str) -> list[str]:
        """Create the links that start it at boot, and return those that were missing."""
        files = self._host.root_files
        unit = self.unit(name)
        links = [f"{SYSTEM_FOLDER}/{target}.wants/{name}" for target in unit.wanted_by()]
        made = [link for link in links if not files.exists(link)]
        for link in made:
            files.mkdir(link.rpartition("/")[0], parents=True)
            files.symlink(unit.path, link)
        return made

    def timers(self) -> list[str]:
        return sorted(self._timers)

    def notify_ready(self, socket: str) -> None:
        """Take note that the service with this NOTIFY_SOCKET is ready."""
        if service := self._services.get(socket.rpartition("/")[2]):
            service.notify_ready()

    async def start_up(self) -> None:
        """Start all enabled units."""
        files = self._host.root_files
        targets = [name for name in files.listdir(SYSTEM_FOLDER) if name.endswith(".wants")]
        names = {name for target in targets for name in files.listdir(f"{SYSTEM_FOLDER}/{target}")}
        await asyncio.gather(*(self.start(name) for name in sorted(names) if self._has_file(name)))

    async def stop_all(self) -> None:
        """Stop all services in the reverse order of their start, each with its ExecStop."""
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
            self._services[unit.name] = Service(self._host, unit, self._run)
        return self._services[unit.name]

    def _start_timer(self, unit: Unit) -> None:
        if unit.name not in self._timers:
            self._timers[unit.name] = self._host.in_background(self._tick(unit))

    async def _tick(self, unit: Unit) -> None:
        wanted = f"{unit.name.removesuffix('.timer')}.service"
        clock = self._host.clock
        since_boot = clock.now() - self._host.booted_at
        firsts = [span_s(text) for text in unit.every("Timer", "OnActiveSec")]
        firsts += [max(0.0, span_s(text) - since_boot) for text in unit.every("Timer", "OnBootSec")]
        firsts += [left for text in unit.every("Timer", "OnCalendar") if (left := self._until(text)) > 0]
        again = unit.get("Timer", "OnUnitActiveSec")
        if firsts:
            await clock.sleep(min(firsts))
            await self.start(wanted)
        while again:
            await asyncio.sleep(max(clock.real_seconds(span_s(again)), SHORTEST_ROUND_REAL_S))
            await self.start(wanted)
        await asyncio.Event().wait()

    def _until(self, moment: str) -> float:
        """Return the simulated seconds until a moment, which keeps its place on the simulated clock."""
        clock = self._host.clock
        if moment not in self._moments:
            left_s = datetime.strptime(moment, MOMENT).replace(tzinfo=UTC).timestamp() - datetime.now(UTC).timestamp()
            self._moments[moment] = clock.now() + left_s
        return self._moments[moment] - clock.now()

    def _has_file(self, name: str) -> bool:
        return self._host.root_files.is_file(f"{SYSTEM_FOLDER}/{name}")

    def _is_given(self, name: str) -> bool:
        return name in ALWAYS_ON or name.endswith(".target")
