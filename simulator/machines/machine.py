"""One simulated machine: its disk, its users, its services, and its power switch."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from simulator.clock import Clock
from simulator.machines import image, users
from simulator.machines.addresses import MachineAddress
from simulator.machines.cloud_init import CloudInit
from simulator.machines.containers import Containers
from simulator.machines.files import Files
from simulator.machines.firewall import Firewall
from simulator.machines.journal import Journal
from simulator.machines.launcher import launch, which
from simulator.machines.mounts import MountTable
from simulator.machines.packages import Packages
from simulator.machines.programs.call import Call, User
from simulator.machines.programs.table import PROGRAMS
from simulator.machines.shell.interpreter import Shell
from simulator.machines.shell.state import ShellState
from simulator.machines.ssh_server import Door
from simulator.machines.systemd.manager import Systemd
from simulator.machines.traffic import Traffic
from simulator.machines.tree import ROOT_UID, FileTree
from simulator.machines.wolf.api import WolfShape
from simulator.registry.catalog import ImageCatalog

REBOOT_TAKES_S = 8.0
BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine:
    """`folder` holds its disk in `root`. It is off until `power_on`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        address: MachineAddress,
        clock: Clock,
        powered_off: Callable[[str], Awaitable[None]],
        images_of_the_world: ImageCatalog | None = None,
    ) -> None:
        self.name = name
        self.images_of_the_world = images_of_the_world or ImageCatalog()
        self.address = address
        self.clock = clock
        self.folder = folder
        self.faults: set[str] = set()
        self.tree = FileTree(folder / "root", folder / "owners.json")
        self.mounts = MountTable(self.tree)
        self.packages = Packages(self.tree)
        self.journal = Journal(self.tree)
        self.systemd = Systemd(self)
        self.traffic = Traffic(clock)
        self.firewall = Firewall(self.traffic)
        self.containers = Containers(self)
        self.cloud_init = CloudInit(self)
        self.wolf_shape = WolfShape.NEWER
        self.is_on = False
        self.booted_at = 0.0
        self._door = Door(self)
        self._powered_off = powered_off
        self._tasks: set[asyncio.Task[object]] = set()
        self._outer_tasks: set[asyncio.Task[None]] = set()
        self._switching = asyncio.Lock()

    @property
    def hostname(self) -> str:
        return self.root_files.read_text("/etc/hostname").strip()

    @property
    def root_files(self) -> Files:
        return Files(self.tree, ROOT_UID)

    def make(self, user: str, authorized_keys: list[str], cloud_init: Mapping[str, Any] | None) -> None:
        """Lay a fresh disk, unless one from an image is there, and let the user in: done once in a machine's life."""
        if not self.tree.root.exists():
            image.lay(self.tree, self.name[:63], PROGRAMS.keys() - Packages.programs_of_packages())
        users.authorize(self.tree, users.add(self.tree, user), authorized_keys)
        self.cloud_init.order(cloud_init or {})

    async def power_on(self) -> None:
        """Returns when SSH answers; cloud-init and the services go on in the background. On: nothing happens."""
        async with self._switching:
            if not self.is_on:
                await self._switch_on()

    async def power_off(self) -> None:
        """Like pulling the plug: nothing is told, what runs ends at once. Off already: nothing happens."""
        async with self._switching:
            await self._switch_off()

    async def discard(self) -> None:
        """Power off for good: nothing that was ordered from inside happens any more."""
        for task in self._outer_tasks:
            task.cancel()
        await asyncio.gather(*self._outer_tasks, return_exceptions=True)
        await self.power_off()

    def set_fault(self, fault: str, *, on: bool) -> None:
        (self.faults.add if on else self.faults.discard)(fault)
        if self.is_on:
            self._door.reconsider()

    def shut_down(self) -> None:
        """Ordered from inside: services are stopped first, then the power goes off and the owner is told."""
        self._from_outside(self._shut_down())

    def reboot(self) -> None:
        self._from_outside(self._reboot())

    def in_background(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run something for as long as the machine is on."""
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def which(self, program: str) -> str | None:
        return which(self.root_files, program)

    async def run(self, call: Call) -> int:
        """Run a program by its name or path; 127 when there is none, 126 when it may not be run."""
        return await launch(call)

    def shell(self, user: User, extra: Mapping[str, str] | None = None, cwd: str | None = None) -> Shell:
        environment = {
            "HOME": user.home,
            "USER": user.name,
            "LOGNAME": user.name,
            "SHELL": "/bin/bash",
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "PWD": cwd or user.home,
        }
        return Shell(self, user, ShellState.started_with(environment | dict(extra or {}), cwd or user.home))

    async def _switch_on(self) -> None:
        self.mounts.forget()
        self.is_on = True
        self.booted_at = self.clock.now()
        self.root_files.write(BOOT_ID_FILE, f"{uuid.uuid4()}\n")
        await self._door.open()
        self.in_background(self._start_up())

    async def _start_up(self) -> None:
        await self.cloud_init.run()
        await self.containers.start_up()
        await self.systemd.start_up()

    async def _switch_off(self) -> None:
        self.wolf_shape = WolfShape.NEWER
        self.is_on = False
        await self._door.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.systemd.power_cut()
        await self.containers.power_cut()
        self.firewall.forget()
        self.traffic.forget()
        self.mounts.forget()

    def _from_outside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that must outlive what runs on the machine."""
        task = asyncio.get_running_loop().create_task(work)
        self._outer_tasks.add(task)
        task.add_done_callback(self._outer_tasks.discard)

    async def _shut_down(self) -> None:
        await self.systemd.stop_all()
        await self.power_off()
        await self._powered_off(self.name)

    async def _reboot(self) -> None:
        await self.systemd.stop_all()
        async with self._switching:
            await self._switch_off()
            await self.clock.sleep(REBOOT_TAKES_S)
            await self._switch_on()
