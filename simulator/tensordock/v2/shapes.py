"""Places and machines as version 2 describes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from simulator.faults import ListShape
from simulator.hostnodes.catalog import Gpus, Hostnode
from simulator.hostnodes.stock import Free
from simulator.tensordock.instances import Instance

FreeOf = Callable[[str], Free]

# Not every hostnode states its capacity in both ways.
_PLAIN_ONLY: Final = 0
_MAXIMA_ONLY: Final = 1


def locations(hosts: Iterable[Hostnode], free: FreeOf) -> dict[str, Any]:
    by_location: dict[str, list[Hostnode]] = {}
    for host in hosts:
        by_location.setdefault(host.location.id, []).append(host)
    described = [_location(there, free) for there in by_location.values()]
    return {"data": {"locations": [location for location in described if location["gpus"]]}}


def _location(hosts: list[Hostnode], free: FreeOf) -> dict[str, Any]:
    place = hosts[0].location
    offers: dict[str, dict[str, Any]] = {}
    for host in hosts:
        for gpu in host.gpus.values():
            offer = _offer(host, gpu, free(host.id))
            if offer["max_count"] > offers.get(gpu.model, {}).get("max_count", 0):
                offers[gpu.model] = offer
    return {
        "id": place.id,
        "city": place.city,
        "stateprovince": place.region,
        "country": place.country,
        "tier": place.tier,
        "gpus": list(offers.values()),
    }


def _offer(host: Hostnode, gpu: Gpus, free: Free) -> dict[str, Any]:
    return {
        "v0Name": gpu.model,
        "displayName": display_name(gpu.model),
        "max_count": free.gpus[gpu.model],
        "price_per_hr": gpu.usd_per_hour,
        "resources": {"max_vcpus": free.vcpus, "max_ram_gb": free.ram_gb, "max_storage_gb": free.storage_gb},
        "pricing": _pricing(host),
        "network_features": {
            "dedicated_ip_available": free.public_ips > 0,
            "port_forwarding_available": bool(free.ports),
            "network_storage_available": False,
        },
    }


def hostnode(host: Hostnode, free: Free) -> dict[str, Any]:
    gpus = [
        {"v0Name": gpu.model, "availableCount": free.gpus[gpu.model], "price_per_hr": gpu.usd_per_hour}
        for gpu in host.gpus.values()
    ]
    return {
        "id": host.id,
        "location_id": host.location.id,
        "engine": "kvm",
        "uptime_percentage": host.status["uptime"] * 100,
        "available_resources": {
            "gpus": gpus,
            **_capacity(host, free),
            "available_ports": list(free.ports),
            "has_public_ip_available": free.public_ips > 0,
        },
        "pricing": _pricing(host),
        "location": _location_of(host),
    }


def _capacity(host: Hostnode, free: Free) -> dict[str, int]:
    plain = {"vcpu_count": free.vcpus, "ram_gb": free.ram_gb, "storage_gb": free.storage_gb}
    maxima = {"max_vcpus": free.vcpus, "max_ram_gb": free.ram_gb, "max_storage_gb": free.storage_gb}
    for_one_gpu = host.restrictions.get("1")
    if for_one_gpu:
        maxima["max_vcpus_per_gpu"] = for_one_gpu["cpu"]["max"]
        maxima["max_ram_per_gpu"] = for_one_gpu["ram"]["max"]
    way = int(host.id[:2], 16) % 5
    return plain if way == _PLAIN_ONLY else maxima if way == _MAXIMA_ONLY else plain | maxima


def _location_of(host: Hostnode) -> dict[str, Any]:
    place = host.location
    return {
        "uuid": place.id,
        "city": place.city,
        "stateprovince": place.region,
        "country": place.country,
        "has_network_storage": False,
        "network_speed_gbps": Decimal(host.receive_mbps) / 1000,
        "network_speed_upload_gbps": Decimal(host.send_mbps) / 1000,
        "organization": f"org-{place.id[:8]}",
        "organizationName": f"{place.city} Hosting",
        "tier": place.tier,
    }


def _pricing(host: Hostnode) -> dict[str, Decimal]:
    return {
        "per_vcpu_hr": host.cpu.usd_per_hour,
        "per_gb_ram_hr": host.ram_gb.usd_per_hour,
        "per_gb_storage_hr": host.storage_gb.usd_per_hour,
    }


def created(instance: Instance) -> dict[str, Any]:
    """Return the answer to an order. Its status says little: each of these was seen at the vendor."""
    word = ("running", "creating", "queued")[instance.number % 3]
    return {"data": {"type": "virtualmachine", "id": instance.id, "name": instance.name, "status": word}}


def moving(instance: Instance) -> dict[str, Any]:
    """Return the answer to a start or a stop."""
    return {"data": {"type": "instance", "id": instance.id, "attributes": {"status": instance.status}}}


def instance_list(instances: Iterable[Instance], shape: ListShape) -> dict[str, Any]:
    if shape is ListShape.FLAT:
        return {"data": [{**_bare(instance), "ipAddress": instance.ip} for instance in instances]}
    if shape is ListShape.ATTRIBUTES:
        return {"data": {"attributes": {"instances": [_bare(instance) for instance in instances]}}}
    items = [
        {"type": "VM", "id": instance.id, "attributes": {"name": instance.name, "status": instance.status}}
        for instance in instances
    ]
    return {"data": {"instances": items}}


def _bare(instance: Instance) -> dict[str, Any]:
    return {"id": instance.id, "name": instance.name, "status": instance.status}


def instance_alone(instance: Instance) -> dict[str, Any]:
    """Return a single machine: without an envelope, not under `data`."""
    claim = instance.full_claim
    gpus = {}
    if claim.gpu_model:
        gpus[display_name(claim.gpu_model)] = {"count": claim.gpu_count, "v0Name": claim.gpu_model}
    return {
        "type": "virtualmachine" if instance.number % 2 else "instance",
        "id": instance.id,
        "name": instance.name,
        "status": instance.status,
        "ipAddress": instance.ip,
        "portForwards": [
            {"internal_port": internal, "external_port": external}
            for internal, external in outside_ports(instance).items()
        ],
        "resources": {
            "vcpu_count": claim.vcpus,
            "ram_gb": claim.ram_gb,
            "storage_gb": claim.storage_gb,
            "gpus": gpus,
        },
        "rateHourly": instance.usd_per_hour,
    }


def outside_ports(instance: Instance) -> Mapping[int, int]:
    """Return the forwarded ports and their targets.

    A machine with its own address has none, unless that address works only with other port numbers.
    """
    if instance.ip is None:
        return {}
    if instance.dedicated_ip:
        return instance.ports
    return {forward.internal: instance.ports.get(forward.internal, forward.internal) for forward in instance.forwards}


_GEFORCE: Final = re.compile(r"geforce(rtx|gtx)(\d+)(ti)?(lhr)?")
_QUADRO: Final = re.compile(r"quadrortx(\d+)")
_RTX_A: Final = re.compile(r"rtx(a\d+)")
_RTX_ADA: Final = re.compile(r"rtx(\d+)(sff)?ada")


def display_name(model: str) -> str:
    """Return the name for people: "geforcertx4090-pcie-24gb" is "NVIDIA GeForce RTX 4090 PCIe 24GB"."""
    series, bus, vram = model.split("-")
    return f"NVIDIA {_series_name(series)} {'PCIe' if bus == 'pcie' else bus.upper()} {vram.upper()}"


def _series_name(series: str) -> str:
    if m := _GEFORCE.fullmatch(series):
        return f"GeForce {m[1].upper()} {m[2]}{' Ti' if m[3] else ''}"
    if m := _QUADRO.fullmatch(series):
        return f"Quadro RTX {m[1]}"
    if m := _RTX_A.fullmatch(series):
        return f"RTX {m[1].upper()}"
    if m := _RTX_ADA.fullmatch(series):
        return f"RTX {m[1]}{' SFF' if m[2] else ''} Ada"
    return series.upper()
