"""Google's machine types with one graphics GPU, and the selection of those that fit a shape."""

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
    """A machine type. RAM is in whole GB, rounded down.

    The GPU is part of G2 machines and attached to N1 machines.
    """

    name: str
    vcpus: int
    ram_gb: int
    gpu_model: str


# CloudyPad requires at least 4 vCPUs. n1-standard-4 has 3.75 GB per vCPU, G2 has 4.
MACHINE_TYPES: Final = (
    *(MachineType(f"n1-standard-{vcpus}", vcpus, vcpus * 15 // 4, T4) for vcpus in (4, 8, 16)),
    *(MachineType(f"g2-standard-{vcpus}", vcpus, vcpus * 4, L4) for vcpus in (4, 8, 12, 16)),
)


def fitting_machine_types(region: Region, shape: Shape, on: date) -> list[MachineType]:
    """Return the machine types of at least this shape that the region offers on that day.

    A shape that wants no GPU gets one all the same: CloudyPad creates no machine without.
    """
    offered = region.gpu_models(on)
    return [type_ for type_ in MACHINE_TYPES if type_.gpu_model in offered and _fits(type_, shape)]


def cheapest(
    region: Region, shape: Shape, usage: Usage, prices: Prices, on: date
) -> tuple[MachineType, HourlyPrice] | None:
    """Return the machine type with the lowest hourly price, and the price; None if none fits or has a price."""
    known = prices.by_region.get(region.name)
    if known is None:
        return None
    priced = [
        (type_, hourly_price(known, type_.name, type_.gpu_model, usage))
        for type_ in fitting_machine_types(region, shape, on)
    ]
    choices = [(type_, price) for type_, price in priced if price is not None]
    return min(choices, key=lambda choice: (choice[1].usd_per_hour, choice[0].vcpus), default=None)


def find_machine_type(vcpus: int, gpu_model: str | None) -> MachineType | None:
    """Return the machine type that an offer of this size was made from."""
    return next((type_ for type_ in MACHINE_TYPES if (type_.vcpus, type_.gpu_model) == (vcpus, gpu_model)), None)


def zones_of(region: Region, type_: MachineType) -> tuple[str, ...]:
    """Return the zones of the region that offer this machine type."""
    return region.gpu_zones.get(type_.gpu_model, ())


def _fits(type_: MachineType, shape: Shape) -> bool:
    enough = type_.vcpus >= shape.vcpus and type_.ram_gb >= shape.ram_gb
    if shape.min_vram_gb is None:
        return enough
    named = not shape.gpu_models or any(part in type_.gpu_model for part in shape.gpu_models)
    return enough and named and gpus()[type_.gpu_model].vram_gb >= shape.min_vram_gb
