"""A cloud in memory that keeps providers.base.Provider, and can be told to fail in the ways that clouds do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from errors import NoCapacityError, ProviderBusyError, ProviderError
from providers.base import (
    GpuStock,
    Machine,
    MachineId,
    MachineState,
    Offer,
    OrderPermit,
    Place,
    ProgressCallback,
    ProviderHealth,
    ProviderName,
    Shape,
    Site,
    SiteId,
    Tag,
    always_permit,
    no_progress,
)


class FakeCloud:
    """Machines run as soon as they are rented. `held` names methods that wait until `let_go`."""

    def __init__(self, name: ProviderName = ProviderName.TENSORDOCK, sites: Sequence[Site] = ()) -> None:
        self._name = name
        self.stock = list(sites)
        self.rented: dict[MachineId, Machine] = {}
        self.unlisted: set[MachineId] = set()
        self.listed_as: MachineState | None = None  # the list is old, and shows this state
        self.ever_rented = 0
        self.full: set[SiteId] = set()
        self.failures: dict[str, list[ProviderError]] = {}
        self.lost_answers: Counter[str] = Counter()  # how often a method does its work, and nobody hears of it
        self.keeps_hardware = False  # a stop leaves it reserved
        self.given_away = False  # no start finds hardware
        self.lingers = False  # what is deleted is DELETING for ever
        self.broken_for_good = False  # what is broken does not start
        self.charges: dict[str, Decimal] = {}  # by site, what a machine there is said to cost
        self.placed: dict[MachineId, SiteId] = {}
        self.calls: Counter[str] = Counter()
        self._gates: dict[str, asyncio.Event] = {}
        self._counted: dict[str, tuple[int, asyncio.Event]] = {}
        self._reached: dict[str, asyncio.Event] = {}

    @property
    def name(self) -> ProviderName:
        return self._name

    def hold(self, method: str) -> asyncio.Event:
        """Calls of `method` wait from now on; the returned event is set when one arrives."""
        self._gates[method] = asyncio.Event()
        self._reached[method] = asyncio.Event()
        return self._reached[method]

    def let_go(self, method: str) -> None:
        self._gates[method].set()

    def after_calls(self, method: str, count: int) -> asyncio.Event:
        """Set when `method` is called for the `count`-th time from now on."""
        reached = asyncio.Event()
        self._counted[method] = (self.calls[method] + count, reached)
        return reached

    async def sites(self) -> Sequence[Site]:
        await self._enter("sites")
        return tuple(self.stock)

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        gpus = [gpu for gpu in site.gpus if gpu.available and gpu.vram_gb >= (shape.min_vram_gb or 0)]
        if shape.min_vram_gb is not None and not gpus:
            return None
        price = min((gpu.usd_per_hour for gpu in gpus), default=Decimal(0)) + shape.vcpus * site.usd_per_vcpu_hour
        return Offer(
            provider=self._name,
            site_id=site.id,
            vcpus=shape.vcpus,
            ram_gb=shape.ram_gb,
            storage_gb=shape.storage_gb,
            gpu_model=gpus[0].model if shape.min_vram_gb is not None else None,
            usd_per_hour=price,
        )

    async def rent(
        self,
        offer: Offer,
        tag: Tag,
        *,
        ordered_at: datetime | None = None,
        permit: OrderPermit = always_permit,
        report: ProgressCallback = no_progress,
    ) -> Machine:
        await self._enter("rent")
        if (known := self._tagged(tag)) is not None:
            return known
        await permit()
        if offer.site_id in self.full:
            raise NoCapacityError("No available nodes found")
        report("The order was taken")
        machine = Machine(MachineId(f"m{self.ever_rented + 1}"), tag, MachineState.RUNNING, ip_address="127.0.0.1")
        self.ever_rented += 1
        self.rented[machine.id] = machine
        self.placed[machine.id] = offer.site_id
        self._answer("rent")
        return machine

    async def machine(self, machine_id: MachineId) -> Machine | None:
        await self._enter("machine")
        machine, told = self.rented.get(machine_id), self.charges.get(self.placed.get(machine_id, SiteId("")))
        return machine if machine is None or told is None else replace(machine, usd_per_hour=told)

    async def machines(self) -> Sequence[Machine]:
        await self._enter("machines")
        listed = [machine for machine in self.rented.values() if machine.id not in self.unlisted]
        return tuple(replace(machine, state=self.listed_as or machine.state) for machine in listed)

    async def start(self, machine_id: MachineId) -> None:
        await self._enter("start")
        if self.given_away:
            raise NoCapacityError("its hardware was given away")
        if self.broken_for_good and self.rented[machine_id].state is MachineState.BROKEN:
            raise ProviderBusyError("it is BROKEN and cannot be started now")
        self.become(machine_id, MachineState.RUNNING)
        self._answer("start")

    async def stop(self, machine_id: MachineId) -> None:
        await self._enter("stop")
        self.become(machine_id, MachineState.STOPPED if self.keeps_hardware else MachineState.STOPPED_RELEASED)

    async def release(self, machine_id: MachineId) -> None:
        await self._enter("release")
        if self.lingers:
            self.become(machine_id, MachineState.DELETING)
        else:
            self.rented.pop(machine_id, None)
        self._answer("release")

    async def health(self) -> ProviderHealth:
        return ProviderHealth(configured=True, healthy=True, simulated=True)

    def become(self, machine_id: MachineId, state: MachineState) -> None:
        if machine_id in self.rented:
            self.rented[machine_id] = replace(self.rented[machine_id], state=state)

    def make_anew_by_start(self) -> None:
        for machine_id, machine in self.rented.items():
            self.rented[machine_id] = replace(machine, made_anew_by_start=True)

    def become_all(self, state: MachineState) -> None:
        for machine_id in self.rented:
            self.become(machine_id, state)

    def states(self) -> list[MachineState]:
        return [machine.state for machine in self.rented.values()]

    def vanish_all(self) -> None:
        self.rented.clear()

    def _tagged(self, tag: Tag) -> Machine | None:
        return next((machine for machine in self.rented.values() if machine.tag == tag), None)

    async def _enter(self, method: str) -> None:
        self.calls[method] += 1
        count, reached = self._counted.get(method, (0, asyncio.Event()))
        if self.calls[method] >= count:
            reached.set()
        if (gate := self._gates.get(method)) is not None:
            self._reached[method].set()
            await gate.wait()
        if waiting := self.failures.get(method):
            raise waiting.pop(0)

    def _answer(self, method: str) -> None:
        if self.lost_answers[method]:
            self.lost_answers[method] -= 1
            raise ProviderBusyError("the answer was lost")


def site(name: str, place: Place, usd_per_hour: str = "0.40", gpus: int = 4) -> Site:
    """A host with RTX 4090s."""
    return Site(
        id=SiteId(name),
        provider=ProviderName.TENSORDOCK,
        place=place,
        online=True,
        vcpus_available=64,
        ram_gb_available=256,
        storage_gb_available=4000,
        gpus=(GpuStock("geforcertx4090-pcie-24gb", 24, gpus, Decimal(usd_per_hour)),),
        usd_per_vcpu_hour=Decimal("0.003"),
        usd_per_ram_gb_hour=Decimal("0.002"),
        usd_per_storage_gb_hour=Decimal("0.00005"),
        dedicated_ip_available=True,
    )
