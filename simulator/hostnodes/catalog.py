"""The hostnodes of hostnodes.json, with the small variations of their stock that a seed makes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).with_name("hostnodes.json")


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of one model in one hostnode."""

    model: str
    amount: int
    usd_per_hour: Decimal
    vram_gb: int
    flags: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Part:
    """CPU threads, GB of RAM or GB of disk of a hostnode, and the price of one of them."""

    amount: int
    usd_per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Location:
    id: str
    city: str
    region: str
    country: str
    data_centre: Mapping[str, str] | None

    @property
    def tier(self) -> int:
        return int(self.data_centre["tier"]) if self.data_centre else 0


@dataclass(frozen=True, slots=True)
class Hostnode:
    """One hostnode when nothing of it is rented. `restrictions` are kept as the vendor serves them."""

    id: str
    location: Location
    cpu_type: str
    cpu: Part
    ram_gb: Part
    storage_gb: Part
    gpus: Mapping[str, Gpus]
    restrictions: Mapping[str, Mapping[str, Mapping[str, int]]]
    ports: tuple[int, ...]
    receive_mbps: int
    send_mbps: int
    dedicated_ip: bool | None
    public_ips: int
    status: Mapping[str, Any]
    ignores_port_forwards: bool

    @property
    def rentable(self) -> bool:
        return bool(self.status["online"] and self.status["listed"])


def hostnodes(seed: int, shipped: Path = SHIPPED) -> dict[str, Hostnode]:
    """Return all hostnodes by id: the same for the same seed, with the same prices for every seed."""
    document = json.loads(shipped.read_text(encoding="utf-8"), parse_float=Decimal)
    beyond = document["beyond_v0"]
    hosts = (_hostnode(host_id, shape, beyond.get(host_id, {})) for host_id, shape in document["hostnodes"].items())
    return {host.id: _varied(host, random.Random(f"{seed}:{host.id}")) for host in hosts}


def _hostnode(id: str, shape: Mapping[str, Any], beyond: Mapping[str, Any]) -> Hostnode:
    specs, networking = shape["specs"], shape["networking"]
    gpus = {model: _gpus(model, part) for model, part in specs["gpu"].items()}
    return Hostnode(
        id=id,
        location=_location(shape["location"]),
        cpu_type=specs["cpu"]["type"],
        cpu=_part(specs["cpu"]),
        ram_gb=_part(specs["ram"]),
        storage_gb=_part(specs["storage"]),
        gpus=gpus,
        restrictions=specs.get("restrictions", {}),
        ports=tuple(networking["ports"]),
        receive_mbps=networking["receive"],
        send_mbps=networking["send"],
        dedicated_ip=networking.get("dedicated_ip"),
        public_ips=beyond.get("public_ips", _usual_public_ips(networking.get("dedicated_ip"), gpus)),
        status=shape["status"],
        ignores_port_forwards=beyond.get("ignores_port_forwards", False),
    )


def _location(shape: Mapping[str, Any]) -> Location:
    return Location(shape["id"], shape["city"], shape["region"], shape["country"], shape["dc"])


def _part(shape: Mapping[str, Any]) -> Part:
    return Part(shape["amount"], Decimal(shape["price"]))


def _gpus(model: str, shape: Mapping[str, Any]) -> Gpus:
    flags = {name: shape[name] for name in ("gtx", "pcie", "rtx") if name in shape}
    return Gpus(model, shape["amount"], Decimal(shape["price"]), shape["vram"], flags)


def _usual_public_ips(dedicated_ip: bool | None, gpus: Mapping[str, Gpus]) -> int:
    return max(4, 2 * sum(gpu.amount for gpu in gpus.values())) if dedicated_ip else 0


def _varied(host: Hostnode, chance: random.Random) -> Hostnode:
    """Take away a GPU here and there, as other customers do; the last two of a model stay."""
    gpus = {
        model: replace(gpu, amount=gpu.amount - chance.randint(0, 1)) if gpu.amount > 2 else gpu
        for model, gpu in host.gpus.items()
    }
    storage = replace(host.storage_gb, amount=host.storage_gb.amount - 10 * chance.randint(0, 4))
    return replace(host, gpus=gpus, storage_gb=storage if storage.amount > 400 else host.storage_gb)
