"""The CloudyPad provider, for machines at Google Cloud.

A machine's id is its tag: the name of CloudyPad's instance. Renting takes ten to twenty minutes, because CloudyPad
returns only when the machine is set up.
"""

from __future__ import annotations

import asyncio
import logging
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
    UnreadableRecordError,
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
from providers.cloudypad.disk_images import DiskImages, NoDiskImages
from providers.cloudypad.gce_state import GceStateOverlay
from providers.cloudypad.health import Health
from providers.cloudypad.instances import Instance
from providers.google.compute import ComputeEngine
from providers.google.prices import Prices, shipped_prices
from providers.google.regions import find_region, regions
from providers.single_flight import Depart, SingleFlight
from providers.storage.tokens import Tokens
from providers.tags import DEPLOYMENT, PREFIX

log = logging.getLogger(__name__)

_TAG: Final = re.compile(
    rf"(?=.{{1,45}}$){DEPLOYMENT}-[0-9]{{1,30}}"
)  # `cloudypad-…-network` has at most 63 characters
_IMAGE_FAULT: Final = re.compile(
    r"/images/[^ ]*' was not found|resource\.(?:initializeParams\.)?sourceImage|image", re.I
)
_ASKED_AT_ONCE: Final = 2  # each query costs CloudyPad seconds of CPU time
_STARTED: Final = frozenset({MachineState.RUNNING, MachineState.STARTING, MachineState.CREATING})
_STOPPED: Final = frozenset({MachineState.STOPPED_RELEASED, MachineState.STOPPING})
_OFF: Final = _STOPPED | {MachineState.VANISHED}


async def _shipped() -> Prices:
    return shipped_prices()


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class CloudyPadOptions:
    """One Google project and its options. `key_path` is our private SSH key, installed on every machine.

    `autostop_s`: the machine turns itself off after so long without streaming, even if this service is gone.
    `list_kept_s`: how old the state of a machine in a list may be.
    """

    project_id: str
    key_path: Path
    spot: bool = False
    autostop_s: int = 2 * 60 * 60
    tag_prefix: str = PREFIX
    simulated: bool = False
    ready_within_s: float = 120.0  # for a machine from a prepared image
    list_kept_s: float = 120.0  # reading it costs CloudyPad ten seconds of CPU time
    health_kept_s: float = 60.0


class CloudyPad:
    """The Provider of CloudyPad.

    `prices` returns Google's current prices. Without `compute`, CloudyPad alone decides what exists. `close` cancels
    its running requests.
    """

    name: Final = ProviderName.CLOUDYPAD

    def __init__(
        self,
        options: CloudyPadOptions,
        cli: CloudyPadCli,
        tokens: Tokens,
        prices: Callable[[], Awaitable[Prices]] = _shipped,
        today: Callable[[], date] = _today,
        compute: ComputeEngine | None = None,
        images: DiskImages | None = None,
    ) -> None:
        self._options = options
        self._cli = cli
        self._images = images or NoDiskImages()
        self._current_prices = prices
        self._today = today
        self._prices = shipped_prices()
        self._sites: tuple[Prices, date, tuple[Site, ...]] | None = None
        self._queries: dict[tuple[str, int], SingleFlight[Machine | None]] = {}
        self._turns = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._gce_state = GceStateOverlay(compute)
        self._health = Health(cli, tokens, simulated=options.simulated, kept_s=options.health_kept_s)

    async def close(self) -> None:
        await self._health.close()
        await asyncio.gather(*(seen.close() for seen in self._queries.values()))

    async def sites(self) -> Sequence[Site]:
        """Return the regions. While prices and day are the same, so is the tuple."""
        self._prices = await self._current_prices()
        on = self._today()
        if self._sites is None or self._sites[:2] != (self._prices, on):
            listed = tuple(gcp.site_of(region, self._prices, on) for region in regions().values())
            self._sites = (self._prices, on, listed)
        return self._sites[2]

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
        report: ProgressCallback = no_progress,
    ) -> Machine:
        """Rent or find the tag's machine.

        CloudyPad records an order at once, for all workers, so `ordered_at` is not needed.
        """
        if not self._is_ours(tag):
            raise ProviderRefusedError(f"a machine's tag must be {self._options.tag_prefix}, a deployment and digits")
        orders = gcp.orders_for(
            offer, self._options.project_id, spot=self._options.spot, autostop_seconds=self._options.autostop_s
        )
        async with self._cli.turn(tag) as turn:
            instance = await self._cli.get(tag)
            if instance is not None and instance.configured:
                return await self._machine(instance)
            zone = None if instance is None else instance.zone
            if zone is not None and zone not in {order.zone for order in orders}:
                await self._clean_up(turn, report)
                zone = None
            # The zone of an earlier run comes first, because its resources are there.
            orders = sorted(orders, key=lambda order: order.zone != zone)
            return await self._create_in_first_zone(turn, orders, permit, report, again=zone is not None)

    async def machine(self, machine_id: MachineId) -> Machine | None:
        if not self._is_ours(machine_id):
            return None
        instance = await self._cli.get(machine_id)
        if instance is None or instance.provider != gcp.PROVIDER:
            return None
        return await self._machine(instance)

    async def machines(self) -> Sequence[Machine]:
        """Return our machines.

        Their states may be as old as `list_kept_s`, but no older than the last run on the machine, on any worker.
        """
        versions = await self._cli.versions(gcp.PROVIDER)
        ours = sorted((name, version) for name, version in versions.items() if self._is_ours(name))
        self._queries = {key: self._queries.get(key) or self._shared_query(key[0]) for key in ours}
        found = await asyncio.gather(*(self._read(self._queries[key]) for key in ours))
        return tuple(machine for machine in found if machine is not None)

    async def _read(self, query: SingleFlight[Machine | None]) -> Machine | None:
        """Return None for a machine whose state this version cannot read.

        It is missing from the list alone: a caller that asks for it by its id gets the error.
        """
        try:
            return await query.get()
        except UnreadableRecordError as error:
            log.error("CloudyPad's state of a machine cannot be read", extra={"why": error.message})
            return None

    async def unmanaged(self) -> Sequence[Machine]:
        """Return labelled machines at Google that CloudyPad does not know here.

        They exist after CloudyPad's states were lost with the database.
        """
        known = await self._cli.versions(gcp.PROVIDER)
        return tuple(machine for machine in await self._gce_state.list_labelled() if machine.tag not in known)

    async def start(self, machine_id: MachineId) -> None:
        machine = await self._existing(machine_id)
        if machine.state is MachineState.VANISHED:
            raise MachineLostError(f"Google no longer knows the server of {machine_id}")
        if machine.state in _STARTED:
            return
        await self._cli.start(machine_id)
        await self._verify_state(machine_id, _STARTED, "started")

    async def stop(self, machine_id: MachineId) -> None:
        if (await self._existing(machine_id)).state in _OFF:
            return
        await self._cli.stop(machine_id)
        await self._verify_state(machine_id, _STOPPED, "stopped")

    async def release(self, machine_id: MachineId) -> None:
        if self._is_ours(machine_id) and await self._cli.may_know(machine_id):
            await self._cli.destroy(machine_id)

    async def health(self) -> ProviderHealth:
        return await self._health.get()

    async def _create_in_first_zone(
        self, turn: Turn, orders: Sequence[GcpOrder], permit: OrderPermit, report: ProgressCallback, *, again: bool
    ) -> Machine:
        """Create the machine in the first zone that has one.

        Raises NoCapacityError if no zone has one, with nothing left behind. A quota that the zones share ends the
        search at once.
        """
        reasons: list[str] = []
        for order in orders:
            report(f"Ordering the machine at Google Cloud in {order.zone}")
            await permit()
            try:
                instance = await self._create(turn, order, report, again=again)
            except (RegionQuotaError, AccountQuotaError):
                await self._clean_up(turn, report)
                raise
            except NoCapacityError as error:
                report(f"{order.zone} has no machine available")
                reasons.append(f"{order.zone}: {_reason(error)}")
            else:
                return await self._machine(instance)
        await self._clean_up(turn, report)
        if not orders:
            raise NoCapacityError("no zone offers this machine")
        raise NoCapacityError(f"no zone of {orders[0].region} has this machine available ({'; '.join(reasons)})")

    async def _create(self, turn: Turn, order: GcpOrder, report: ProgressCallback, *, again: bool) -> Instance:
        """Create the machine from a prepared image if there is one that works, else with the full set-up."""
        image = None if again else await self._images.find(order.region, turn.name)
        if image is None:
            return await self._cli.create_gcp(turn, order, self._options.key_path, report, again=again)
        report("Creating the machine from a prepared disk image")
        try:
            instance = await self._cli.create_gcp_from_image(turn, order, self._options.key_path, image, report)
        except ProviderError as error:
            if isinstance(error, NoCapacityError) or _IMAGE_FAULT.search(error.message) is None:
                raise
            await self._clean_up(turn, report)
            await self._report_image(image, error.message, report)
            return await self._cli.create_gcp(turn, order, self._options.key_path, report)
        if await self._cli.await_ready(turn.name, self._options.ready_within_s):
            return instance
        await self._report_image(image, "its streaming server does not respond", report)
        await self._cli.set_up(turn, report)
        return instance

    async def _report_image(self, image: str, problem: str, report: ProgressCallback) -> None:
        report(f"The prepared disk image cannot be used, so the machine is set up in full: {problem}")
        await self._images.record_problem(image, problem)

    async def _clean_up(self, turn: Turn, report: ProgressCallback) -> None:
        """Remove resources of a failed order. Networks, addresses and disks remain, and some of them cost money."""
        report("Removing what was created")
        try:
            await self._cli.destroy(turn.name, turn=turn)
        except ProviderError as error:
            raise ProviderBusyError(f"resources of a failed order could not be removed: {error.message}") from error

    async def _machine(self, instance: Instance) -> Machine:
        return await self._gce_state.overlay(instance, gcp.machine_of(instance, self._prices))

    async def _existing(self, machine_id: MachineId) -> Machine:
        machine = await self.machine(machine_id)
        if machine is None:
            raise MachineLostError(f"CloudyPad does not know {machine_id[:64]}")
        return machine

    async def _verify_state(self, machine_id: MachineId, states: frozenset[MachineState], done: str) -> None:
        """Check the machine's state.

        CloudyPad's success is not enough: it treats a stop that Google refused as a warning.
        """
        machine = await self._existing(machine_id)
        if machine.state not in states:
            raise ProviderBusyError(f"{machine_id} was not {done}: it is {machine.state}")

    def _shared_query(self, name: str) -> SingleFlight[Machine | None]:
        """Return a shared query for callers that read the machine within the time that its state is cached."""

        async def look(_: Depart) -> Machine | None:
            async with self._turns:
                return await self.machine(MachineId(name))

        return SingleFlight(look, self._options.list_kept_s)

    def _is_ours(self, name: str) -> bool:
        return name.startswith(self._options.tag_prefix) and _TAG.fullmatch(name) is not None


def _reason(error: ProviderError) -> str:
    """Return Google's own message, cut so that those of several zones fit into one message."""
    return error.message.rpartition("googleapi: ")[2][:60]
