"""One simulated machine: its disk, its services, its containers, and its power switch."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any

from simulator.addresses import MachineAddress
from simulator.clock import Clock
from simulator.machines import image, users
from simulator.machines.cloud_init import CloudInit
from simulator.machines.command import Command
from simulator.machines.container import WolfShape
from simulator.machines.containers import Containers
from simulator.machines.host import Host
from simulator.machines.ssh_server import SshServer
from simulator.machines.systemd.manager import Systemd
from simulator.registry.catalog import ImageCatalog

REBOOT_TAKES_S = 8.0
BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"


class Machine(Host):
    """A machine that is off until `power_on`. `execute` runs its programs."""

    def __init__(
        self,
        folder: Path,
        name: str,
        address: MachineAddress,
        clock: Clock,
        images_of_the_world: ImageCatalog,
        *,
        powered_off: Callable[[str], Awaitable[None]],
        execute: Callable[[Machine, Command], Awaitable[int]],
    ) -> None:
        super().__init__(folder, name, address, clock, images_of_the_world)
        self.systemd = Systemd(self, self.run)
        self.containers = Containers(self)
        self.cloud_init = CloudInit(self, self.run)
        self._ssh = SshServer(self, self.run)
        self._powered_off = powered_off
        self._execute = execute
        self._outer_tasks: set[asyncio.Task[None]] = set()
        self._switching = asyncio.Lock()

    def create(
        self, user: str, authorized_keys: list[str], cloud_init: Mapping[str, Any] | None, programs: Collection[str]
    ) -> None:
        """Write a new disk, unless one from an image is there, and let the user in. Called once in a machine's life."""
        if not self.tree.root.exists():
            image.write_disk(self.tree, self.name[:63], programs)
        users.authorize(self.tree, users.add(self.tree, user), authorized_keys)
        self.cloud_init.order(cloud_init or {})

    async def run(self, command: Command) -> int:
        """Run a program to its end and return its exit status."""
        return await self._execute(self, command)

    async def power_on(self) -> None:
        """Return when SSH answers; the first boot and the services go on in the background. May be repeated."""
        async with self._switching:
            if not self.is_on:
                await self._switch_on()

    async def power_off(self) -> None:
        """Cut the power: nothing that runs is asked to end. May be repeated."""
        async with self._switching:
            await self._switch_off()

    async def discard(self) -> None:
        """Power off for good, and call off what was ordered from inside."""
        for task in self._outer_tasks:
            task.cancel()
        await asyncio.gather(*self._outer_tasks, return_exceptions=True)
        await self.power_off()

    def set_fault(self, fault: str, *, on: bool) -> None:
        (self.faults.add if on else self.faults.discard)(fault)
        if self.is_on:
            self._ssh.apply_faults()

    def shut_down(self) -> asyncio.Task[None]:
        """Stop the services, switch off, and notify the cloud. It is done when the task ends."""
        return self._from_outside(self._shut_down())

    def press_power_button(self) -> asyncio.Task[None]:
        """Shut down as soon as no program delays it. It is off when the task ends."""
        return self._from_outside(self._shut_down(delayed=True))

    def reboot(self) -> asyncio.Task[None]:
        """Stop the services and boot again. SSH answers when the task ends."""
        return self._from_outside(self._reboot())

    async def _switch_on(self) -> None:
        self.mounts.forget()
        self.is_on = True
        self.booted_at = self.clock.now()
        self.shutdown_delay.reload()
        self.root_files.write(BOOT_ID_FILE, f"{uuid.uuid4()}\n")
        await self._ssh.open()
        self.in_background(self._start_up())

    async def _start_up(self) -> None:
        await self.cloud_init.run()
        await self.containers.start_up()
        await self.systemd.start_up()

    async def _switch_off(self) -> None:
        self.wolf_shape = WolfShape.NEWER
        self.is_on = False
        await self._ssh.close()
        await self.end_background()
        self.systemd.power_cut()
        await self.containers.power_cut()
        self.firewall.forget()
        self.traffic.forget()
        self.mounts.forget()

    def _from_outside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that must outlive what runs on the machine."""
        task = asyncio.get_running_loop().create_task(work)
        self._outer_tasks.add(task)
        task.add_done_callback(self._outer_tasks.discard)
        return task

    async def _shut_down(self, *, delayed: bool = False) -> None:
        if delayed:
            await self.shutdown_delay.wait()
        await self.systemd.stop_all()
        await self.power_off()
        await self._powered_off(self.name)

    async def _reboot(self) -> None:
        await self.systemd.stop_all()
        async with self._switching:
            await self._switch_off()
            await self.clock.sleep(REBOOT_TAKES_S)
            await self._switch_on()
