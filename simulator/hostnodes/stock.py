"""The free stock: the hostnodes less the claims of the machines on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from simulator.hostnodes.catalog import Hostnode


class NoNodeError(Exception):
    """No hostnode has the requested hardware."""


class NoPublicIpError(Exception):
    """The hostnode has the hardware, but no public address for it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The hardware of one machine on one hostnode."""

    hostnode_id: str
    vcpus: int = 0
    ram_gb: int = 0
    storage_gb: int = 0
    gpu_model: str | None = None
    gpu_count: int = 0
    public_ip: bool = False
    external_ports: tuple[int, ...] = ()

    def storage_only(self) -> Claim:
        """Return the claim of a machine that is off after its hardware was given to others."""
        return Claim(self.hostnode_id, storage_gb=self.storage_gb)


@dataclass(frozen=True, slots=True)
class Free:
    """The free hardware of a hostnode."""

    vcpus: int
    ram_gb: int
    storage_gb: int
    gpus: Mapping[str, int]
    public_ips: int
    ports: tuple[int, ...]


class Stock:
    """The hostnodes and the claims on them by machine. A new claim of a machine replaces the earlier one."""

    def __init__(self, hostnodes: Mapping[str, Hostnode]) -> None:
        self.hostnodes = hostnodes
        self._claims: dict[str, Claim] = {}

    def at(self, location_id: str) -> list[Hostnode]:
        return [host for host in self.hostnodes.values() if host.location.id == location_id]

    def free(self, hostnode_id: str, *, leaving_out: str | None = None) -> Free:
        """Return the free hardware of a hostnode. The claim of `leaving_out` counts as free too."""
        host = self.hostnodes[hostnode_id]
        claims = [
            claim
            for machine_id, claim in self._claims.items()
            if claim.hostnode_id == hostnode_id and machine_id != leaving_out
        ]
        taken_ports = {port for claim in claims for port in claim.external_ports}
        return Free(
            vcpus=max(0, host.cpu.amount - sum(claim.vcpus for claim in claims)),
            ram_gb=max(0, host.ram_gb.amount - sum(claim.ram_gb for claim in claims)),
            storage_gb=max(0, host.storage_gb.amount - sum(claim.storage_gb for claim in claims)),
            gpus={model: max(0, gpu.amount - _gpus_of(model, claims)) for model, gpu in host.gpus.items()},
            public_ips=max(0, host.public_ips - sum(claim.public_ip for claim in claims)),
            ports=tuple(port for port in host.ports if port not in taken_ports),
        )

    def untouched(self, hostnode_id: str) -> Free:
        """Return the hardware that a hostnode has without claims, as a stale listing shows it."""
        return Stock(self.hostnodes).free(hostnode_id)

    def check(self, machine_id: str, claim: Claim) -> None:
        """Check whether `claim` can be had. Raises NoNodeError or NoPublicIpError."""
        host = self.hostnodes.get(claim.hostnode_id)
        if host is None or not host.rentable:
            raise NoNodeError
        free = self.free(claim.hostnode_id, leaving_out=machine_id)
        if not _fits(claim, free) or not _permitted(claim, host):
            raise NoNodeError
        if claim.public_ip and free.public_ips < 1:
            raise NoPublicIpError

    def claim(self, machine_id: str, claim: Claim) -> None:
        """Record `claim` for this machine without a check: call `check` first."""
        self._claims[machine_id] = claim

    def release(self, machine_id: str) -> None:
        self._claims.pop(machine_id, None)

    def clear(self) -> None:
        self._claims.clear()


def usd_per_hour(host: Hostnode, claim: Claim) -> Decimal:
    """Return the price of a claim, part by part."""
    gpu = host.gpus[claim.gpu_model].usd_per_hour if claim.gpu_model else Decimal(0)
    return (
        claim.gpu_count * gpu
        + claim.vcpus * host.cpu.usd_per_hour
        + claim.ram_gb * host.ram_gb.usd_per_hour
        + claim.storage_gb * host.storage_gb.usd_per_hour
    )


def with_ports(claim: Claim, wanted: tuple[int, ...], free: tuple[int, ...]) -> Claim:
    """Return the claim with an external port for each requested one: the same number where it is free, else any.

    Raises NoNodeError when the hostnode has too few ports left.
    """
    left = list(free)
    given = []
    for port in wanted:
        if not left:
            raise NoNodeError
        given.append(left.pop(left.index(port) if port in left else 0))
    return replace(claim, external_ports=tuple(given))


def _gpus_of(model: str, claims: list[Claim]) -> int:
    return sum(claim.gpu_count for claim in claims if claim.gpu_model == model)


def _fits(claim: Claim, free: Free) -> bool:
    gpus_free = free.gpus.get(claim.gpu_model, 0) if claim.gpu_model else 0
    return (
        claim.vcpus <= free.vcpus
        and claim.ram_gb <= free.ram_gb
        and claim.storage_gb <= free.storage_gb
        and claim.gpu_count <= gpus_free
    )


def _permitted(claim: Claim, host: Hostnode) -> bool:
    """Apply the limit of a hostnode on what goes with one GPU, which keeps its other GPUs rentable."""
    limits = host.restrictions.get(str(claim.gpu_count))
    if limits is None:
        return True
    return (
        claim.vcpus <= limits["cpu"]["max"]
        and claim.ram_gb <= limits["ram"]["max"]
        and claim.storage_gb <= limits["storage"]["max"]
    )
