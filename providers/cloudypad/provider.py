"""CloudyPad at Google Cloud keeps the provider's promise. A machine's id is its tag: the name of CloudyPad's instance.

Renting takes ten to twenty minutes, because CloudyPad returns when the machine is set up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from errors import (
    AccountQuotaError,
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    RegionQuotaError,
)
from providers.base import (
    Machine,
    MachineId,
    MachineState,
    Offer,
    OrderPermit,
    ProgressCallback,
    ProviderHealth,
    ProviderName,
    Shape,
    Site,
    Tag,
    always_permit,
    no_progress,
)
from providers.cloudypad import gcp
from providers.cloudypad.cli import CloudyPadCli, Turn
from providers.cloudypad.commands import GcpOrder
from providers.cloudypad.gce_state import GceStateOverlay
from providers.cloudypad.health import Health
from providers.cloudypad.instances import Instance
from providers.google.compute import ComputeEngine
from providers.google.prices import Prices, shipped_prices
from providers.google.regions import find_region, regions
from providers.single_flight import Depart, SingleFlight
from providers.storage.tokens import Tokens
from providers.tags import DEPLOYMENT, PREFIX

_TAG: Final = re.compile(
    rf"(?=.{{1,45}}$){DEPLOYMENT}-[0-9]{{1,30}}"
)  # `cloudypad-…-network` has 63 characters at most
_ASKED_AT_ONCE: Final = 2  # each question costs CloudyPad seconds of a processor
_STARTED: Final = frozenset({MachineState.RUNNING, MachineState.STARTING, MachineState.CREATING})
_STOPPED: Final = frozenset({MachineState.STOPPED_RELEASED, MachineState.STOPPING})
_OFF: Final = _STOPPED | {MachineState.VANISHED}


async def _shipped() -> Prices:
    return shipped_prices()


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class CloudyPadOptions:
    """One Google project and how to treat it. `key_path` is our private SSH key, let into every machine.

    `autostop_s`: the machine turns itself off when nothing streams for so long, whoever has died. `list_kept_s`: how
    old the state of a machine in a list may be.
    """

    project_id: str
    key_path: Path
    spot: bool = False
    autostop_s: int = 2 * 60 * 60
    tag_prefix: str = PREFIX
    simulated: bool = False
    list_kept_s: float = 120.0  # a question for it costs CloudyPad ten seconds of a processor
    health_kept_s: float = 60.0


class CloudyPad:
    """A Provider. `prices` are Google's as they are known now; without `compute` CloudyPad alone says what is there.
    `close` ends what it has under way."""

    name: Final = ProviderName.CLOUDYPAD

    def __init__(
        self,
        options: CloudyPadOptions,
        cli: CloudyPadCli,
        tokens: Tokens,
        prices: Callable[[], Awaitable[Prices]] = _shipped,
        today: Callable[[], date] = _today,
        compute: ComputeEngine | None = None,
    ) -> None:
        self._options = options
        self._cli = cli
        self._current_prices = prices
        self._today = today
        self._prices = shipped_prices()
        self._seen: dict[tuple[str, int], SingleFlight[Machine | None]] = {}
        self._turns = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._truth = GceStateOverlay(compute)
        self._health = Health(cli, tokens, simulated=options.simulated, kept_s=options.health_kept_s)

    async def close(self) -> None:
        await self._health.close()
        await asyncio.gather(*(seen.close() for seen in self._seen.values()))

    async def sites(self) -> Sequence[Site]:
        self._prices = await self._current_prices()
        on = self._today()
        return tuple(gcp.site_of(region, self._prices, on) for region in regions().values())

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        region = find_region(site.id)
        if region is None:
            return None
        return gcp.offer_in(region, shape, self._prices, self._today(), spot=self._options.spot)

    async def rent(
        self,
        offer: Offer,
        tag: Tag,
        *,
        ordered_at: datetime | None = None,
        permit: OrderPermit = always_permit,
        tell: ProgressCallback = no_progress,
    ) -> Machine:
        """CloudyPad knows at once what it was told, on every worker, so that `ordered_at` is not needed."""
        if not self._is_ours(tag):
            raise ProviderRefusedError(f"a machine's tag is {self._options.tag_prefix}, a deployment and digits")
        orders = gcp.orders_for(
            offer, self._options.project_id, spot=self._options.spot, autostop_seconds=self._options.autostop_s
        )
        async with self._cli.turn(tag) as turn:
            instance = await self._cli.get(tag)
            if instance is not None and instance.configured:
                return await self._machine(instance)
            zone = None if instance is None else instance.zone
            if zone is not None and zone not in {order.zone for order in orders}:
                await self._cleared(turn, tell)
                zone = None
            # What an earlier run left is in its zone; the others come after it.
            orders = sorted(orders, key=lambda order: order.zone != zone)
            return await self._created(turn, orders, permit, tell, again=zone is not None)

    async def machine(self, machine_id: MachineId) -> Machine | None:
        if not self._is_ours(machine_id):
            return None
        instance = await self._cli.get(machine_id)
        if instance is None or instance.provider != gcp.PROVIDER:
            return None
        return await self._machine(instance)

    async def machines(self) -> Sequence[Machine]:
        """Their states may be as old as `list_kept_s`, but no older than the last run on the machine, by any worker."""
        versions = await self._cli.versions(gcp.PROVIDER)
        ours = sorted((name, version) for name, version in versions.items() if self._is_ours(name))
        self._seen = {key: self._seen.get(key) or self._to_look_at(key[0]) for key in ours}
        found = await asyncio.gather(*(self._seen[key].get() for key in ours))
        return tuple(machine for machine in found if machine is not None)

    async def unmanaged(self) -> Sequence[Machine]:
        """Return the machines at Google that carry our label and that CloudyPad knows nothing of here: after its states
        were lost with the database."""
        known = await self._cli.versions(gcp.PROVIDER)
        return tuple(machine for machine in await self._truth.labelled() if machine.tag not in known)

    async def start(self, machine_id: MachineId) -> None:
        machine = await self._existing(machine_id)
        if machine.state is MachineState.VANISHED:
            raise MachineLostError(f"Google does not know the server of {machine_id} any more")
        if machine.state in _STARTED:
            return
        await self._cli.start(machine_id)
        await self._verified(machine_id, _STARTED, "started")

    async def stop(self, machine_id: MachineId) -> None:
        if (await self._existing(machine_id)).state in _OFF:
            return
        await self._cli.stop(machine_id)
        await self._verified(machine_id, _STOPPED, "stopped")

    async def release(self, machine_id: MachineId) -> None:
        if self._is_ours(machine_id) and await self._cli.knows(machine_id):
            await self._cli.destroy(machine_id)

    async def health(self) -> ProviderHealth:
        return await self._health.get()

    async def _created(
        self, turn: Turn, orders: Sequence[GcpOrder], permit: OrderPermit, tell: ProgressCallback, *, again: bool
    ) -> Machine:
        """In the first zone that has a machine. Raises NoCapacityError when none has, with nothing left behind; a quota
        that the zones share ends the search at once."""
        reasons: list[str] = []
        for order in orders:
            tell(f"Ordering the machine at Google Cloud in {order.zone}")
            await permit()
            try:
                instance = await self._cli.create_gcp(turn, order, self._options.key_path, tell, again=again)
            except (RegionQuotaError, AccountQuotaError):
                await self._cleared(turn, tell)
                raise
            except NoCapacityError as error:
                tell(f"{order.zone} has no machine free")
                reasons.append(f"{order.zone}: {_reason(error)}")
            else:
                return await self._machine(instance)
        await self._cleared(turn, tell)
        if not orders:
            raise NoCapacityError("no zone has it")
        raise NoCapacityError(f"no zone of {orders[0].region} has this machine free ({'; '.join(reasons)})")

    async def _cleared(self, turn: Turn, tell: ProgressCallback) -> None:
        """Networks, addresses and disks stay behind when a machine could not be had, and some of them cost."""
        tell("Clearing away what was begun")
        try:
            await self._cli.destroy(turn.name, turn=turn)
        except ProviderError as error:
            raise ProviderBusyError(f"what was begun could not be cleared away: {error.message}") from error

    async def _machine(self, instance: Instance) -> Machine:
        return await self._truth.about(instance, gcp.machine_of(instance, self._prices))

    async def _existing(self, machine_id: MachineId) -> Machine:
        machine = await self.machine(machine_id)
        if machine is None:
            raise MachineLostError(f"CloudyPad does not know {machine_id[:64]}")
        return machine

    async def _verified(self, machine_id: MachineId, states: frozenset[MachineState], done: str) -> None:
        """CloudyPad's word for success is not enough: a stop that Google refused is only a warning to it."""
        machine = await self._existing(machine_id)
        if machine.state not in states:
            raise ProviderBusyError(f"{machine_id} was not {done}: it is {machine.state}")

    def _to_look_at(self, name: str) -> SingleFlight[Machine | None]:
        """One question serves all who look at the machine within the time that its state is kept."""

        async def look(_: Depart) -> Machine | None:
            async with self._turns:
                return await self.machine(MachineId(name))

        return SingleFlight(look, self._options.list_kept_s)

    def _is_ours(self, name: str) -> bool:
        return name.startswith(self._options.tag_prefix) and _TAG.fullmatch(name) is not None


def _reason(error: ProviderError) -> str:
    """Google's own words, cut so that those of several zones fit in one message."""
    return error.message.rpartition("googleapi: ")[2][:60]
