"""How Google takes Spot machines, and stops machines with a GPU for maintenance of their host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from simulator.clock import Clock
from simulator.google.compute import CloudError, GoogleMachines, Server
from simulator.google.instance_metadata import MAINTENANCE, NONE, PREEMPTED, STOPS, TAKEN, InstanceMetadata
from simulator.machines.pool import MachinePark

NOTICE_S = 30.0
MAINTENANCE_NOTICE_S = 60 * 60.0
FAILURES = 3


class Interruptions:
    """Steps on one machine by its name. `close` ends announced maintenance that has not begun."""

    def __init__(self, machines: GoogleMachines, park: MachinePark, clock: Clock) -> None:
        self._machines = machines
        self._park = park
        self._clock = clock
        self._announced: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        for task in self._announced.values():
            task.cancel()
        await asyncio.gather(*self._announced.values(), return_exceptions=True)

    async def preempt(self, name: str) -> None:
        """Announce that the machine is taken, press its power button, and switch it off after 30 seconds at most."""
        server = self._running(name)
        if not server.spot:
            raise CloudError(f"the instance {server.instance_name} is not a Spot VM")
        self._metadata(name).write(PREEMPTED, TAKEN)
        await self._take(server)

    async def preempt_without_notice(self, name: str) -> None:
        """Switch the machine off at once, as when the notice does not come through."""
        await self._take(self._running(name), notice_s=0)

    async def announce_maintenance(self, name: str) -> None:
        """Announce a maintenance, which begins an hour later unless it is called off."""
        self._running(name)
        self._metadata(name).write(MAINTENANCE, STOPS)
        self._forget(name)
        self._announced[name] = asyncio.create_task(self._maintain_later(name))

    async def call_off_maintenance(self, name: str) -> None:
        self._forget(name)
        self._metadata(name).write(MAINTENANCE, NONE)

    async def maintain(self, name: str) -> None:
        """Stop the machine for maintenance; one that is not Spot is started again afterwards."""
        server = self._running(name)
        self._forget(name)
        await self._take(server)
        if not server.spot:
            await self._machines.start(name)

    async def let_metadata_fail(self, name: str) -> None:
        self._metadata(name).failures = FAILURES

    async def silence_metadata(self, name: str) -> None:
        self._metadata(name).silence(on=True)

    async def let_metadata_speak(self, name: str) -> None:
        self._metadata(name).silence(on=False)

    async def _maintain_later(self, name: str) -> None:
        await self._clock.sleep(MAINTENANCE_NOTICE_S)
        self._announced.pop(name)
        server = self._machines.named(name)
        if server is not None and server.status == "RUNNING":
            await self.maintain(name)

    async def _take(self, server: Server, notice_s: float = NOTICE_S) -> None:
        async with self._machines.alone_on(server.name):
            self._machines.move(server, "STOPPING")
            if notice_s:
                pressed = self._park.machine(server.id).press_power_button()
                await asyncio.wait({pressed}, timeout=self._clock.real_seconds(notice_s))
            await self._park.power_off(server.id)
            self._machines.move(server, "TERMINATED")

    def _forget(self, name: str) -> None:
        if (task := self._announced.pop(name, None)) is not None:
            task.cancel()

    def _running(self, name: str) -> Server:
        server = self._machines.find(name)
        if server.status != "RUNNING":
            raise CloudError(f"the instance {server.instance_name} is {server.status}")
        return server

    def _metadata(self, name: str) -> InstanceMetadata:
        metadata = self._park.machine(self._machines.find(name).id).metadata
        if metadata is None:
            raise CloudError("the instance was never started")
        return metadata


def metadata_by_address(machines: GoogleMachines, park: MachinePark) -> Callable[[str], InstanceMetadata | None]:
    """Return how the metadata server knows its askers: by the address that their requests come from."""

    def find(address: str) -> InstanceMetadata | None:
        here = [server for server in machines.all() if server.exists and park.address(server.id).ip == address]
        return park.machine(here[0].id).metadata if here else None

    return find
