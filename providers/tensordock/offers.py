"""Turns a shape into an order that TensorDock accepts: its size steps, its cheapest fitting GPU, its price."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from providers.base import GpuStock, Offer, ProviderName, Shape, Site

_VCPU_STEP: Final = 2
_RAM_SIZES_GB: Final = (
    *(2, 4, 6, 8, 10, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 512),
)
_STORAGE_MIN_GB: Final = 100
_STORAGE_STEP_GB: Final = 50


def cheapest(site: Site, shape: Shape) -> Offer | None:
    """Return the cheapest machine of at least this shape at this site, or None.

    A site without a free public address does not fit, because Moonlight needs fixed UDP ports.
    """
    sizes = _sizes(site, shape)
    if sizes is None or not (site.online and site.dedicated_ip_available):
        return None
    vcpus, ram_gb, storage_gb = sizes
    gpu = None
    if shape.min_vram_gb is not None and (gpu := _cheapest_gpu(site, shape, shape.min_vram_gb)) is None:
        return None
    usd_stopped = storage_gb * site.usd_per_storage_gb_hour
    usd_gpu = Decimal(0) if gpu is None else gpu.usd_per_hour
    return Offer(
        provider=ProviderName.TENSORDOCK,
        site_id=site.id,
        vcpus=vcpus,
        ram_gb=ram_gb,
        storage_gb=storage_gb,
        gpu_model=None if gpu is None else gpu.model,
        usd_per_hour=usd_gpu + vcpus * site.usd_per_vcpu_hour + ram_gb * site.usd_per_ram_gb_hour + usd_stopped,
        usd_per_hour_stopped=usd_stopped,
    )


def _sizes(site: Site, shape: Shape) -> tuple[int, int, int] | None:
    """Return vCPUs, GB of RAM and GB of disk rounded up to the steps that are sold; None if the site lacks them."""
    vcpus = _round_up(max(shape.vcpus, _VCPU_STEP), _VCPU_STEP)
    ram_gb = next((size for size in _RAM_SIZES_GB if size >= shape.ram_gb), None)
    storage_gb = _round_up(max(shape.storage_gb, _STORAGE_MIN_GB), _STORAGE_STEP_GB)
    if ram_gb is None:
        return None
    fits = (
        vcpus <= min(site.vcpus_available, site.max_vcpus or vcpus)
        and ram_gb <= min(site.ram_gb_available, site.max_ram_gb or ram_gb)
        and storage_gb <= min(site.storage_gb_available, site.max_storage_gb or storage_gb)
    )
    return (vcpus, ram_gb, storage_gb) if fits else None


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def _cheapest_gpu(site: Site, shape: Shape, min_vram_gb: int) -> GpuStock | None:
    fitting = (gpu for gpu in site.gpus if _fits(gpu, shape, min_vram_gb))
    return min(fitting, key=lambda gpu: (gpu.usd_per_hour, gpu.model), default=None)


def _fits(gpu: GpuStock, shape: Shape, min_vram_gb: int) -> bool:
    model = gpu.model.lower()
    named = not shape.gpu_models or any(part in model for part in shape.gpu_models)
    return named and gpu.available > 0 and gpu.vram_gb >= min_vram_gb
