"""A rented machine in the books of this cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from simulator.faults import FaultKind
from simulator.hostnodes.stock import Claim


class Status(StrEnum):
    CREATING = "creating"
    RUNNING = "running"
    STARTING = "starting"
    STOPPING = "stopping"
    STOPPED = "stopped"  # the hardware stays reserved and costs as before
    STOPPED_DISASSOCIATED = "stoppeddisassociated"  # the hardware went to others, the disk is kept
    DELETING = "deleting"
    ERROR = "error"


OFF: Final = frozenset({Status.STOPPED, Status.STOPPED_DISASSOCIATED})
UP: Final = frozenset({Status.CREATING, Status.STARTING, Status.RUNNING})


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of a machine behind a port of its hostnode."""

    internal: int
    external: int


@dataclass(frozen=True, slots=True)
class Order:
    """A valid order. Exactly one of location and hostnode is named."""

    name: str
    image: str
    vcpus: int
    ram_gb: int
    storage_gb: int
    gpu_model: str | None = None
    gpu_count: int = 0
    location_id: str | None = None
    hostnode_id: str | None = None
    dedicated_ip: bool = False
    forwards: tuple[Forward, ...] = ()
    ssh_key: str | None = None
    cloud_init: Mapping[str, Any] | None = None

    def claim_on(self, hostnode_id: str) -> Claim:
        return Claim(
            hostnode_id,
            vcpus=self.vcpus,
            ram_gb=self.ram_gb,
            storage_gb=self.storage_gb,
            gpu_model=self.gpu_model,
            gpu_count=self.gpu_count,
            public_ip=self.dedicated_ip,
        )


@dataclass(slots=True)
class Instance:
    """One machine. `number` counts orders and seeds the machine's chance.

    `quirks` are its ordered faults, each with its simulated seconds; `claim` is its hardware now, `full_claim` its
    hardware while it is on.
    """

    id: str
    number: int
    name: str
    status: Status
    image: str
    claim: Claim
    full_claim: Claim
    usd_per_hour: Decimal
    usd_per_hour_released: Decimal
    created_at: datetime
    billed_until: datetime
    billed_usd: Decimal = Decimal(0)
    dedicated_ip: bool = False
    forwards: tuple[Forward, ...] = ()
    ssh_key: str | None = None
    cloud_init: Mapping[str, Any] | None = None
    quirks: dict[FaultKind, float] = field(default_factory=dict)
    foreign: bool = False
    booted: bool = False
    has_hardware: bool = False  # the machine exists in the park
    stops_into: Status = Status.STOPPED
    ip: str | None = None
    ports: dict[int, int] = field(default_factory=dict)
    listed_from: datetime | None = None

    @property
    def hostnode_id(self) -> str:
        return self.full_claim.hostnode_id

    @property
    def usd_per_hour_now(self) -> Decimal:
        """Return the hourly price now: zero once its end is ordered, the disk's alone when its hardware is released."""
        if self.status is Status.DELETING:
            return Decimal(0)
        return self.usd_per_hour_released if self.claim != self.full_claim else self.usd_per_hour

    def settle(self, now: datetime) -> Decimal:
        """Charge the time since it was charged last, and return that amount."""
        elapsed = max(now - self.billed_until, timedelta(0))
        microseconds = Decimal((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds)
        usd = (self.usd_per_hour_now * microseconds / 3_600_000_000).quantize(Decimal("1e-12"))
        self.billed_until += elapsed
        self.billed_usd += usd
        return usd
