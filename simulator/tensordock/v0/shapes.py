"""Hostnodes and machines as version 0 describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.utils import format_datetime
from typing import Any, Final

from simulator.hostnodes.catalog import Hostnode
from simulator.hostnodes.stock import Free
from simulator.tensordock.instances import Instance, Status

# This version has no word for what is under way.
STATUS_WORDS: Final = {
    Status.STOPPED: "Stopped",
    Status.STOPPED_DISASSOCIATED: "StoppedDisassociated",
}


def status_word(instance: Instance) -> str:
    return STATUS_WORDS.get(instance.status, "Running")


def hostnode(host: Hostnode, free: Free) -> dict[str, Any]:
    place = host.location
    networking: dict[str, Any] = {"ports": free.ports, "receive": host.receive_mbps, "send": host.send_mbps}
    if host.dedicated_ip is not None:
        networking["dedicated_ip"] = host.dedicated_ip
    return {
        "location": {
            "city": place.city,
            "country": place.country,
            "dc": place.data_centre,
            "id": place.id,
            "region": place.region,
        },
        "networking": networking,
        "specs": {
            "cpu": {"amount": free.vcpus, "price": host.cpu.usd_per_hour, "type": host.cpu_type},
            "gpu": {
                gpu.model: {
                    "amount": free.gpus[gpu.model],
                    "price": gpu.usd_per_hour,
                    "vram": gpu.vram_gb,
                    **gpu.flags,
                }
                for gpu in host.gpus.values()
            },
            "ram": {"amount": free.ram_gb, "price": host.ram_gb.usd_per_hour},
            "storage": {"amount": free.storage_gb, "price": host.storage_gb.usd_per_hour},
            **({"restrictions": host.restrictions} if host.restrictions else {}),
        },
        "status": host.status,
    }


def virtual_machines(instances: Iterable[Instance], hosts: Mapping[str, Hostnode]) -> dict[str, Any]:
    return {instance.id: virtual_machine(instance, hosts[instance.hostnode_id]) for instance in instances}


def virtual_machine(instance: Instance, host: Hostnode) -> dict[str, Any]:
    claim = instance.full_claim
    return {
        "name": instance.name,
        "status": status_word(instance),
        "type": "ondem",
        "hostname": instance.id,
        "hostnode": host.id,
        "location": host.location.id,
        "city": host.location.city,
        "state": host.location.region,
        "country": host.location.country,
        "ip_address": instance.ip,
        "dedicated_ip_address": instance.ip if instance.dedicated_ip else None,
        "port_forwards": {
            str(instance.ports.get(forward.internal, forward.internal)): str(forward.internal)
            for forward in instance.forwards
        },
        "operating_system": instance.image,
        "default_user": "user",
        "cpu_threadscount": claim.vcpus,
        "specs": {
            "gpu": {"amount": claim.gpu_count, "type": claim.gpu_model},
            "ram": claim.ram_gb,
            "storage": claim.storage_gb,
            "vcpus": claim.vcpus,
        },
        "compute_price": instance.usd_per_hour - instance.usd_per_hour_released,
        "storage_price": instance.usd_per_hour_released,
        "total_price": instance.usd_per_hour,
        "cost": instance.usd_per_hour - instance.usd_per_hour_released,
        "deployment": {"status": "Pending", "timestamp_completion": None, "timestamp_failure": None},
        "timestamp_creation": format_datetime(instance.created_at, usegmt=True),
    }


def meets(host: Hostnode, free: Free, query: Mapping[str, str]) -> bool:
    """Apply the vendor's coarse filter: one sufficient GPU model of the host is enough."""
    if _least(query, "minvCPUs") > free.vcpus or _least(query, "minRAM") > free.ram_gb:
        return False
    if _least(query, "minStorage") > free.storage_gb:
        return False
    wants_gpu = {"minVRAM", "minGPUCount", "requiresRTX", "requiresGTX"} & query.keys()
    return not wants_gpu or any(_gpu_meets(host, model, count, query) for model, count in free.gpus.items())


def _gpu_meets(host: Hostnode, model: str, count: int, query: Mapping[str, str]) -> bool:
    flags = {"rtx": query.get("requiresRTX") == "true", "gtx": query.get("requiresGTX") == "true"}
    return (
        count >= _least(query, "minGPUCount")
        and host.gpus[model].vram_gb >= _least(query, "minVRAM")
        and all(host.gpus[model].flags.get(name, False) for name, required in flags.items() if required)
    )


def _least(query: Mapping[str, str], name: str) -> int:
    value = query.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else 0
