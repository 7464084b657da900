"""Provider-neutral interface that every cloud adapter implements.

Units: RAM, VRAM and storage in GB as the clouds count them, prices in USD per hour as `Decimal`, times aware UTC. A
provider's own terms end at its adapter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType, Protocol

MachineId = NewType("MachineId", str)  # the cloud's own id of a machine
SiteId = NewType("SiteId", str)  # the cloud's own id of a place where a machine can be created
Tag = NewType("Tag", str)  # the machine's name at the cloud, marked as ours by its prefix; one launch has one tag


ProgressCallback = Callable[[str], None]  # takes one line for the player about work in progress
OrderPermit = Callable[[], Awaitable[datetime]]  # permits one order and returns the recorded time of that order


def no_progress(_: str) -> None:
    """Ignore progress: the `ProgressCallback` for callers that do not report it."""


async def always_permit() -> datetime:
    """Permit every order: the `OrderPermit` for callers that keep no record of orders."""
    return datetime.now(UTC)


class ProviderName(StrEnum):
    TENSORDOCK = "TENSORDOCK"
    CLOUDYPAD = "CLOUDYPAD"


class MachineState(StrEnum):
    """State of a machine at its cloud, reduced to what the service acts on."""

    CREATING = "CREATING"
    RUNNING = "RUNNING"
    STARTING = "STARTING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"  # the hardware is still reserved, and may be billed in full
    STOPPED_RELEASED = "STOPPED_RELEASED"  # only storage is kept; a start needs free hardware again
    DELETING = "DELETING"
    BROKEN = "BROKEN"  # the cloud reports an error, or the machine ended by itself
    VANISHED = "VANISHED"  # deleted by others; its disks and addresses remain until the machine is released
    UNKNOWN = "UNKNOWN"  # a state that the adapter does not know; never acted on


@dataclass(frozen=True, slots=True)
class Place:
    """Location of a site in the host's own words.

    Nothing is normalised; any part may be empty or odd.
    """

    city: str = ""
    region: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class GpuStock:
    """One GPU model at one site. `model` is the cloud's id for ordering it."""

    model: str
    vram_gb: int
    available: int
    usd_per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Site:
    """A place where a machine can be created, with what is free there now."""

    id: SiteId
    provider: ProviderName
    place: Place
    online: bool
    vcpus_available: int
    ram_gb_available: int
    storage_gb_available: int
    gpus: tuple[GpuStock, ...]
    usd_per_vcpu_hour: Decimal
    usd_per_ram_gb_hour: Decimal
    usd_per_storage_gb_hour: Decimal
    dedicated_ip_available: bool
    cpu_model: str | None = None
    max_vcpus: int | None = None  # the largest size of one machine, where the cloud publishes it
    max_ram_gb: int | None = None
    max_storage_gb: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Minimum requirements of a machine.

    `gpu_models` are lower-case substrings of model ids; a model that contains any of them fits. If `min_vram_gb` is
    None, no GPU is wanted.
    """

    vcpus: int
    ram_gb: int
    storage_gb: int
    min_vram_gb: int | None = None
    gpu_models: tuple[str, ...] = ()


class PricePart(StrEnum):
    """Part of an hourly price, as shown to people."""

    MACHINE = "vCPUs and memory"
    GPU = "GPU"
    DISK = "disk"
    ADDRESS = "external address"
    EGRESS = "streaming traffic (estimated)"


@dataclass(frozen=True, slots=True)
class PriceLine:
    part: PricePart
    usd_per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Offer:
    """A shape at a site at a price: what `rent` orders.

    Sizes are already rounded to the steps that the cloud sells. `lines` are the parts of the price and add up to it;
    they are empty where the cloud publishes no parts.
    """

    provider: ProviderName
    site_id: SiteId
    vcpus: int
    ram_gb: int
    storage_gb: int
    gpu_model: str | None
    usd_per_hour: Decimal
    usd_per_hour_stopped: Decimal = Decimal(0)
    lines: tuple[PriceLine, ...] = ()

    def usd_per_hour_for(self, part: PricePart) -> Decimal:
        """Return the price of one part in USD per hour; zero if the price has no parts."""
        return sum((line.usd_per_hour for line in self.lines if line.part is part), Decimal(0))


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its cloud describes it now.

    `ports` maps internal to external ports where the cloud forwards them; a port that it lacks is reached under its own
    number. If `made_anew_by_start` is true, the machine is off, its server was deleted, and a start creates a new
    server with a new SSH host key. Only then is a pinned host key dropped; any other change of the key is refused.
    `off_since` is set where the cloud says when it stopped the machine. Only `rent` sets `billed_from`, and only if
    that call placed the order.
    """

    id: MachineId
    tag: Tag
    state: MachineState
    ip_address: str | None = None
    ports: Mapping[int, int] = field(default_factory=dict)
    usd_per_hour: Decimal | None = None
    ssh_user: str = "user"
    made_anew_by_start: bool = False
    off_since: datetime | None = field(default=None, compare=False)
    billed_from: datetime | None = field(default=None, compare=False)

    def external_port(self, internal: int) -> int:
        return self.ports.get(internal, internal)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Whether a cloud can be used now. `detail` is for people and carries no credential."""

    configured: bool
    healthy: bool
    simulated: bool
    detail: str | None = None


class Provider(Protocol):
    """A cloud that rents out gaming machines. Methods raise nothing but ProviderErrors."""

    @property
    def name(self) -> ProviderName: ...

    async def sites(self) -> Sequence[Site]:
        """Return the sites where machines could be created now.

        The result is cached for seconds and may be empty.
        """
        ...

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        """Return the cheapest offer for this shape at this site, or None if it does not fit. Makes no request."""
        ...

    async def rent(
        self,
        offer: Offer,
        tag: Tag,
        *,
        ordered_at: datetime | None = None,
        permit: OrderPermit = always_permit,
        report: ProgressCallback = no_progress,
    ) -> Machine:
        """Order a machine named `tag` and return as soon as the cloud has it, often before it has an address.

        Idempotent per tag: looks for an existing machine first, and again after every lost response, so that one tag
        never rents twice. If `ordered_at` is set, an earlier order of this tag was sent at that time and its outcome is
        unknown. It may still be under way and the cloud's lists lag behind orders, so the call waits until such an
        order must have become visible before it orders again. `permit` is called just before each order is sent, and an
        order that is not sent soon after is dropped. An error from `permit` ends the call with nothing ordered.

        Raises:
          - NoCapacityError: the site is full. This alone proves that nothing was rented.
          - ProviderRefusedError: the cloud rejected the order for good. If `permit` had been called, anything left of
          the order is listed at once.
          - ProviderBusyError: the outcome is unknown.
        """
        ...

    async def machine(self, machine_id: MachineId) -> Machine | None:
        """Return the machine as the cloud describes it now, or None if the cloud does not know it. Uses no cache."""
        ...

    async def machines(self) -> Sequence[Machine]:
        """Return every machine with our prefix in its name, recorded or not. The list may lag behind orders."""
        ...

    async def start(self, machine_id: MachineId) -> None:
        """Request a start. A running machine counts as started.

        Raises NoCapacityError if the cloud gave the machine's hardware to another customer.
        """
        ...

    async def stop(self, machine_id: MachineId) -> None:
        """Request a stop that also ends avoidable charges, where the cloud can.

        A stopped machine counts as done.
        """
        ...

    async def release(self, machine_id: MachineId) -> None:
        """Request deletion. A machine that is gone counts as deleted.

        Deletion is certain only when `machine` returns None.
        """
        ...

    async def health(self) -> ProviderHealth:
        """Check credentials and balance with the cloud. The result is cached for seconds. Never raises."""
        ...
