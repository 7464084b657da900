"""Converts between Google machines and CloudyPad's terms: the order for an offer, and an instance's description."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from errors import ProviderRefusedError
from providers.base import (
    GpuStock,
    Machine,
    MachineId,
    MachineState,
    Offer,
    PriceLine,
    ProviderName,
    Shape,
    Site,
    SiteId,
    Tag,
)
from providers.cloudypad.commands import GcpOrder
from providers.cloudypad.instances import Instance
from providers.google.machines import MACHINE_TYPES, cheapest, find_machine_type, zones_of
from providers.google.prices import Prices, RegionPrices, Usage, hourly_price
from providers.google.regions import Region, find_region, gpus

PROVIDER: Final = "gcp"
SSH_USER: Final = "ubuntu"
_ROOT_DISK_GB: Final = 50
_SMALLEST_DATA_DISK_GB: Final = 50
_LARGEST_DISK_GB: Final = 64_000
_STATES: Final = {
    "running": MachineState.RUNNING,
    "starting": MachineState.STARTING,
    "restarting": MachineState.STARTING,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.STOPPED_RELEASED,
}


def site_of(region: Region, prices: Prices, on: date) -> Site:
    """Return a region as a site; it is offline if it has no suitable GPU or no known price.

    Google does not publish how many machines are free. `available` is 1 for everything that a region offers, and the
    sizes are those of the largest machine; only an order shows whether one is available.
    """
    known = prices.by_region.get(region.name)
    offered = set(region.gpu_models(on)) & set(known.gpu_usd_per_hour if known else ())
    types = [type_ for type_ in MACHINE_TYPES if type_.gpu_model in offered]
    models = sorted({type_.gpu_model for type_ in types})
    return Site(
        id=SiteId(region.name),
        provider=ProviderName.CLOUDYPAD,
        place=region.place,
        online=bool(types),
        vcpus_available=max((type_.vcpus for type_ in types), default=0),
        ram_gb_available=max((type_.ram_gb for type_ in types), default=0),
        storage_gb_available=_LARGEST_DISK_GB if types else 0,
        gpus=tuple(GpuStock(model, gpus()[model].vram_gb, 1, _price(known, model)) for model in models),
        usd_per_vcpu_hour=Decimal(0),  # prices are for whole machines
        usd_per_ram_gb_hour=Decimal(0),
        usd_per_storage_gb_hour=Decimal(0),
        dedicated_ip_available=bool(types),
    )


def offer_in(region: Region, shape: Shape, prices: Prices, on: date, *, spot: bool = False) -> Offer | None:
    """Return the cheapest offer for a shape in a region; None if nothing fits or has a price."""
    disk_gb = _ROOT_DISK_GB + _data_disk_gb(shape.storage_gb)
    found = cheapest(region, shape, Usage(disk_gib=disk_gb, spot=spot), prices, on)
    if found is None:
        return None
    type_, price = found
    return Offer(
        provider=ProviderName.CLOUDYPAD,
        site_id=SiteId(region.name),
        vcpus=type_.vcpus,
        ram_gb=type_.ram_gb,
        storage_gb=disk_gb,
        gpu_model=type_.gpu_model,
        usd_per_hour=price.usd_per_hour,
        usd_per_hour_stopped=price.usd_per_hour_stopped,
        lines=tuple(PriceLine(part, usd) for part, usd in price.lines.items()),
    )


def orders_for(offer: Offer, project_id: str, *, spot: bool, autostop_seconds: int) -> Sequence[GcpOrder]:
    """Return one order for each zone of the region that has the machine. The data disk keeps the player's data."""
    region, type_ = find_region(offer.site_id), find_machine_type(offer.vcpus, offer.gpu_model)
    if region is None or type_ is None:
        raise ProviderRefusedError("this is not an offer of a Google Cloud machine")
    return [
        GcpOrder(
            project_id=project_id,
            region=region.name,
            zone=zone,
            machine_type=type_.name,
            gpu_type=type_.gpu_model,
            disk_gb=_ROOT_DISK_GB,
            data_disk_gb=_data_disk_gb(offer.storage_gb),
            spot=spot,
            autostop_seconds=autostop_seconds,
        )
        for zone in zones_of(region, type_)
    ]


def machine_of(instance: Instance, prices: Prices) -> Machine:
    """Return the machine that an instance describes."""
    return Machine(
        id=MachineId(instance.name),
        tag=Tag(instance.name),
        state=_state(instance),
        ip_address=instance.host,
        ports=instance.ports,
        usd_per_hour=_usd_per_hour(instance, prices),
        ssh_user=SSH_USER,
        made_anew_by_start=instance.server_deleted,
    )


def _price(known: RegionPrices | None, model: str) -> Decimal:
    return known.gpu_usd_per_hour[model] if known else Decimal(0)


def _state(instance: Instance) -> MachineState:
    if instance.server_deleted:
        return MachineState.STOPPED_RELEASED  # Google does not know the server, so CloudyPad reports `unknown`
    if not instance.provisioned:
        return MachineState.CREATING
    return _STATES.get(instance.server_status, MachineState.UNKNOWN)


def _usd_per_hour(instance: Instance, prices: Prices) -> Decimal | None:
    region = find_region(instance.zone or "")
    known = prices.by_region.get(region.name) if region else None
    if known is None or instance.machine_type is None or instance.gpu_model is None:
        return None
    usage = Usage(disk_gib=instance.disk_gb, spot=instance.spot)
    price = hourly_price(known, instance.machine_type, instance.gpu_model, usage)
    return None if price is None else price.usd_per_hour


def _data_disk_gb(storage_gb: int) -> int:
    return max(_SMALLEST_DATA_DISK_GB, storage_gb - _ROOT_DISK_GB)
