"""The changes of a machine's status as time passes."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulator.clock import Clock
from simulator.faults import FaultKind
from simulator.machines.packages import DRIVER
from simulator.park import Park
from simulator.tensordock.instances import Instance, Status

log = logging.getLogger(__name__)

# Simulated seconds, drawn for each machine from these bounds.
ADDRESS_AFTER_S: Final = (5.0, 30.0)
SSH_AFTER_S: Final = (15.0, 30.0)
START_TAKES_S: Final = (10.0, 20.0)
STOP_TAKES_S: Final = (4.0, 10.0)
DELETE_TAKES_S: Final = (2.0, 6.0)
SLOW_DELETE_S: Final = 300.0

SSH_USER: Final = "user"
IMAGE_WITH_DRIVER: Final = re.compile(r"_ml_|_nvidia_")
PARK_FAULTS: Final = (FaultKind.SSH_REFUSED, FaultKind.INSTALL_FAILS)


@dataclass(slots=True)
class _Life:
    instance: Instance
    chance: random.Random
    nudged: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Lives:
    """One task for each machine, which carries out what its status requires.

    `changed` is called after every move, and `gone` when a machine has ended.
    """

    def __init__(
        self,
        park: Park,
        clock: Clock,
        seed: int,
        *,
        changed: Callable[[Instance], None],
        gone: Callable[[Instance], None],
    ) -> None:
        self._park = park
        self._clock = clock
        self._seed = seed
        self._changed = changed
        self._gone = gone
        self._lives: dict[str, _Life] = {}

    def begin(self, instance: Instance) -> None:
        life = _Life(instance, random.Random(f"{self._seed}:life:{instance.number}"))
        self._lives[instance.id] = life
        life.task = asyncio.create_task(self._live(life), name=f"machine {instance.id}")

    def wake(self, instance: Instance) -> None:
        """Wake the task of a machine after its status was changed from outside."""
        if life := self._lives.get(instance.id):
            life.nudged.set()

    async def resume(self, instance: Instance) -> None:
        """Continue a life from an earlier run. A machine that was on is on again at once."""
        try:
            await self._put_back(instance)
        except Exception:
            self._broke(instance)
        self.begin(instance)

    async def end_all(self) -> None:
        """End all tasks; each machine keeps its status."""
        tasks = [life.task for life in self._lives.values() if life.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lives.clear()

    async def _put_back(self, instance: Instance) -> None:
        if instance.has_hardware:
            self._set_park_faults(instance)
        else:
            await self._park.destroy(instance.id)  # a kill may have come between making it and writing that down
        if instance.booted and instance.status is Status.RUNNING:
            await self._park.power_on(instance.id)

    async def _live(self, life: _Life) -> None:
        while True:
            life.nudged.clear()
            try:
                await self._step(life)
            except Exception:
                self._broke(life.instance)
            if life.instance.id not in self._lives:
                return

    async def _step(self, life: _Life) -> None:
        instance = life.instance
        match instance.status:
            case Status.CREATING:
                await self._get_address(life)
            case Status.RUNNING if instance.ip and not instance.booted:
                await self._boot(life)
            case Status.STARTING:
                await self._start(life)
            case Status.STOPPING:
                await self._stop(life)
            case Status.DELETING:
                await self._delete(life)
            case _:
                await life.nudged.wait()

    async def _get_address(self, life: _Life) -> None:
        if not await self._passes(life, life.chance.uniform(*ADDRESS_AFTER_S)):
            return
        instance = life.instance
        if FaultKind.BOOT_FAILS in instance.quirks:
            self._move(instance, Status.ERROR)
            return
        if FaultKind.NO_ADDRESS not in instance.quirks:
            await self._put_into_park(instance)
        if instance.status is Status.CREATING:
            self._move(instance, Status.RUNNING)

    async def _put_into_park(self, instance: Instance) -> None:
        key_works = instance.ssh_key and FaultKind.KEY_MISSING not in instance.quirks
        address = await self._park.create(
            instance.id,
            user=SSH_USER,
            authorized_keys=[instance.ssh_key] if instance.ssh_key and key_works else [],
            cloud_init=instance.cloud_init,
            packages=(DRIVER,) if IMAGE_WITH_DRIVER.search(instance.image) else (),
        )
        instance.has_hardware = True
        instance.ip, instance.ports = address.ip, dict(address.ports)
        self._set_park_faults(instance)
        self._changed(instance)

    def _set_park_faults(self, instance: Instance) -> None:
        for fault in PARK_FAULTS:
            if fault in instance.quirks:
                self._park.set_fault(instance.id, fault, True)

    async def _boot(self, life: _Life) -> None:
        seconds = life.instance.quirks.get(FaultKind.SLOW_BOOT, life.chance.uniform(*SSH_AFTER_S))
        if await self._passes(life, seconds):
            await self._park.power_on(life.instance.id)
            life.instance.booted = True
            self._changed(life.instance)

    async def _start(self, life: _Life) -> None:
        if not await self._passes(life, life.chance.uniform(*START_TAKES_S)):
            return
        instance = life.instance
        if not instance.has_hardware and FaultKind.NO_ADDRESS not in instance.quirks:
            await self._put_into_park(instance)
        if instance.has_hardware:
            await self._park.power_on(instance.id)
            instance.booted = True
        if instance.status is Status.STARTING:
            self._move(instance, Status.RUNNING)

    async def _stop(self, life: _Life) -> None:
        if not await self._passes(life, life.chance.uniform(*STOP_TAKES_S)):
            return
        await self._power_off(life.instance)
        if life.instance.status is Status.STOPPING:
            self._move(life.instance, life.instance.stops_into)

    async def _power_off(self, instance: Instance) -> None:
        instance.booted = False
        if instance.has_hardware:
            await self._park.power_off(instance.id)

    async def _delete(self, life: _Life) -> None:
        instance = life.instance
        seconds = instance.quirks.get(FaultKind.SLOW_DELETE, life.chance.uniform(*DELETE_TAKES_S))
        if not await self._passes(life, seconds):
            return
        if instance.has_hardware:
            await self._park.destroy(instance.id)
        del self._lives[instance.id]
        self._gone(instance)

    async def _passes(self, life: _Life, simulated_s: float) -> bool:
        """Wait, and return False when the machine's status changes before the time is over."""
        try:
            async with asyncio.timeout(self._clock.real_seconds(simulated_s)):
                await life.nudged.wait()
        except TimeoutError:
            return True
        return False

    def _broke(self, instance: Instance) -> None:
        log.exception("machine %s broke", instance.id)
        self._move(instance, Status.ERROR)

    def _move(self, instance: Instance, status: Status) -> None:
        instance.status = status
        self._changed(instance)
