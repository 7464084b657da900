"""What a cloud promises, in words that no cloud owns.

Units: RAM, VRAM and storage in GB as the clouds count them, prices in USD per hour as `Decimal`,
times aware UTC. A provider's own words end at its adapter.
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
Tag = NewType("Tag", str)  # the machine's name at the cloud, ours by its prefix; one launch, one tag


ProgressCallback = Callable[[str], None]  # takes one line for the player about work in progress
OrderPermit = Callable[[], Awaitable[datetime]]  # lets one order leave, and says under which time it stands on record


def no_progress(_: str) -> None:
    """The `ProgressCallback` of those who do not listen."""


async def always_permit() -> datetime:
    """The `OrderPermit` of those who keep no record of their orders."""
    return datetime.now(UTC)


class ProviderName(StrEnum):
    TENSORDOCK = "TENSORDOCK"
    CLOUDYPAD = "CLOUDYPAD"


class MachineState(StrEnum):
    """What a cloud says of a machine, reduced to what we act on."""

    CREATING = "CREATING"
    RUNNING = "RUNNING"
    STARTING = "STARTING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"  # the hardware is still reserved, and may be billed in full
    STOPPED_RELEASED = "STOPPED_RELEASED"  # only storage is kept; a start needs free hardware again
    DELETING = "DELETING"
    BROKEN = "BROKEN"  # the cloud says error, or it ended by itself
    VANISHED = "VANISHED"  # gone without us; what belonged to it (disks, addresses) is left, until it is released
    UNKNOWN = "UNKNOWN"  # a word we have no entry for; never acted on


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site is, in the host's own words. Nothing here is normalised; any part may be empty or odd."""

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
    max_vcpus: int | None = None  # the most one machine may get, where the cloud says so
    max_ram_gb: int | None = None
    max_storage_gb: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a machine must have at least. `gpu_models` are lower-case substrings of model ids, any of which will do;
    `min_vram_gb` of None means that no GPU is wanted."""

    vcpus: int
    ram_gb: int
    storage_gb: int
    min_vram_gb: int | None = None
    gpu_models: tuple[str, ...] = ()


class PricePart(StrEnum):
    """What an hour is paid for, in words for people."""

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
    """A shape at a site at a price: what `rent` orders. Sizes are already in the steps that the cloud sells.

    `lines` are the parts of the price, and add up to it; empty where the cloud names none.
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
        """Zero where the price is not told in parts."""
        return sum((line.usd_per_hour for line in self.lines if line.part is part), Decimal(0))


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its cloud describes it now. `ports` maps internal to external ports where the cloud forwards them;
    a port that is not in it is reached under its own number.

    `made_anew_by_start`: it is off, its server was deleted, and a start makes another one, with another SSH host key.
    Only then is a host key that was pinned dropped: any other change of it is refused.
    `billed_from` is known to `rent` alone, and only when this very call ordered the machine.
    """

    id: MachineId
    tag: Tag
    state: MachineState
    ip_address: str | None = None
    ports: Mapping[int, int] = field(default_factory=dict)
    usd_per_hour: Decimal | None = None
    ssh_user: str = "user"
    made_anew_by_start: bool = False
    billed_from: datetime | None = field(default=None, compare=False)

    def external_port(self, internal: int) -> int:
        return self.ports.get(internal, internal)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Can this cloud be used now? `detail` is for people and carries no credential."""

    configured: bool
    healthy: bool
    simulated: bool
    detail: str | None = None


class Provider(Protocol):
    """A cloud that rents out gaming machines. Every method may raise a ProviderError and nothing else."""

    @property
    def name(self) -> ProviderName: ...

    async def sites(self) -> Sequence[Site]:
        """Where machines could be created now. Safe to repeat and cached for seconds; may be empty."""
        ...

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        """The cheapest way to get this shape at this site, or None when it does not fit. Asks nobody."""
        ...

    async def rent(
        self,
        offer: Offer,
        tag: Tag,
        *,
        ordered_at: datetime | None = None,
        permit: OrderPermit = always_permit,
        tell: ProgressCallback = no_progress,
    ) -> Machine:
        """Order a machine named `tag` and return as soon as the cloud has it, often before it has an address.

        Looks for the tag first and after every lost answer, so that it may be repeated: one tag never rents twice.
        `ordered_at` says that an earlier order of this tag left then, and nobody knows what came of it: it may still
        be on its way and lists lag behind orders, so the tag is looked for until both are over before anything is
        ordered anew. `permit` is asked right before each order leaves, and an order that does not leave soon after is
        not sent; what `permit` raises ends the call with nothing ordered.
        Raises NoCapacityError when the site is full, and only then is it certain that nothing was rented;
        ProviderRefusedError when the cloud refused the order for good: after a permit, whatever is left of it is
        listed at once; ProviderBusyError when nobody knows.
        """
        ...

    async def machine(self, machine_id: MachineId) -> Machine | None:
        """One machine, straight from the cloud; None when the cloud does not know it (any more)."""
        ...

    async def machines(self) -> Sequence[Machine]:
        """Every machine whose name carries our prefix, recorded by us or not. The list may lag behind orders."""
        ...

    async def start(self, machine_id: MachineId) -> None:
        """Ask for a start. Already running counts as done. Raises NoCapacityError when its hardware was given away."""
        ...

    async def stop(self, machine_id: MachineId) -> None:
        """Ask for a stop that ends what would go on billing, where the cloud can. Already stopped counts as done."""
        ...

    async def release(self, machine_id: MachineId) -> None:
        """Ask for deletion. Already gone counts as released. Gone for sure is only what `machine` says is None."""
        ...

    async def health(self) -> ProviderHealth:
        """Credentials and balance, checked with the cloud; cached for seconds. Never raises."""
        ...
