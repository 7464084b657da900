"""Google's machine types that carry one GPU with graphics, and which of them a shape needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from providers.base import Shape
from providers.google.prices import HourlyPrice, Prices, Usage, hourly_price
from providers.google.regions import Region, gpus

L4: Final = "nvidia-l4"
T4: Final = "nvidia-tesla-t4"


@dataclass(frozen=True, slots=True)
class MachineType:
    """RAM in whole GB, rounded down. Its GPU is part of G2 machines and attached to N1 machines."""

    name: str
    vcpus: int
    ram_gb: int
    gpu_model: str


# CloudyPad asks for at least 4 vCPUs. n1-standard-4 has 3.75 GB per vCPU, G2 has 4.
MACHINE_TYPES: Final = (
    *(MachineType(f"n1-standard-{vcpus}", vcpus, vcpus * 15 // 4, T4) for vcpus in (4, 8, 16)),
    *(MachineType(f"g2-standard-{vcpus}", vcpus, vcpus * 4, L4) for vcpus in (4, 8, 12, 16)),
)


def fitting(region: Region, shape: Shape, on: date) -> list[MachineType]:
    """Machine types of at least this shape that the region offers that day. A shape that wants no GPU gets one all the
    same: CloudyPad makes no machine without."""
    offered = region.gpu_models(on)
    return [type_ for type_ in MACHINE_TYPES if type_.gpu_model in offered and _fits(type_, shape)]


def cheapest(
    region: Region, shape: Shape, usage: Usage, prices: Prices, on: date
) -> tuple[MachineType, HourlyPrice] | None:
    """The machine type that costs least by the hour, with its price; None when none fits or none has a price."""
    known = prices.by_region.get(region.name)
    if known is None:
        return None
    priced = [(type_, hourly_price(known, type_.name, type_.gpu_model, usage)) for type_ in fitting(region, shape, on)]
    choices = [(type_, price) for type_, price in priced if price is not None]
    return min(choices, key=lambda choice: (choice[1].usd_per_hour, choice[0].vcpus), default=None)


def find_machine_type(vcpus: int, gpu_model: str | None) -> MachineType | None:
    """The one that an offer of these was made from."""
    return next((type_ for type_ in MACHINE_TYPES if (type_.vcpus, type_.gpu_model) == (vcpus, gpu_model)), None)


def zones_of(region: Region, type_: MachineType) -> tuple[str, ...]:
    """Where this machine type can be ordered in this region."""
    return region.gpu_zones.get(type_.gpu_model, ())


def _fits(type_: MachineType, shape: Shape) -> bool:
    enough = type_.vcpus >= shape.vcpus and type_.ram_gb >= shape.ram_gb
    if shape.min_vram_gb is None:
        return enough
    named = not shape.gpu_models or any(part in type_.gpu_model for part in shape.gpu_models)
    return enough and named and gpus()[type_.gpu_model].vram_gb >= shape.min_vram_gb
