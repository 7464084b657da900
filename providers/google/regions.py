"""Google Cloud's regions, read from a dated list in this folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from providers.base import Place

_REGION_LIST: Final = Path(__file__).with_name("regions.json")
_ZONE_LETTER: Final = re.compile(r"-[a-z]$")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics GPU model. `family` is the machine family that carries it."""

    model: str
    vram_gb: int
    family: str
    end_of_support: date | None


@dataclass(frozen=True, slots=True)
class Region:
    """A region. The coordinates are those of its city. `gpu_zones` maps GPU models to the zones that offer them."""

    name: str
    place: Place
    country_code: str
    continent: str
    latitude: float
    longitude: float
    carbon_free_percent: float | None
    gpu_zones: Mapping[str, tuple[str, ...]]

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the zones that offer a GPU suitable for games."""
        return tuple(sorted({zone for zones in self.gpu_zones.values() for zone in zones}))

    def gpu_models(self, on: date) -> tuple[str, ...]:
        """Return the GPU models that Google supports on that day."""
        return tuple(model for model in self.gpu_zones if is_supported(gpus()[model], on))


def is_supported(gpu: Gpu, on: date) -> bool:
    """Return whether Google supports the GPU on that day."""
    return gpu.end_of_support is None or on < gpu.end_of_support


@lru_cache(maxsize=1)
def regions() -> Mapping[str, Region]:
    """Return all regions by name, including those without a GPU."""
    return MappingProxyType({raw["name"]: _region(raw) for raw in _list()["regions"]})


@lru_cache(maxsize=1)
def gpus() -> Mapping[str, Gpu]:
    """Return all GPU models by name."""
    return MappingProxyType({model: _gpu(model, raw) for model, raw in _list()["gpus"].items()})


def find_region(site_id: str) -> Region | None:
    """Return the region of this name, or the region of the zone of this name."""
    return regions().get(site_id) or regions().get(_ZONE_LETTER.sub("", site_id))


@lru_cache(maxsize=1)
def _list() -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(_REGION_LIST.read_bytes())
    return parsed


def _region(raw: dict[str, Any]) -> Region:
    return Region(
        name=raw["name"],
        place=Place(raw["city"], raw["state"], raw["country"]),
        country_code=raw["country_code"],
        continent=raw["continent"],
        latitude=raw["latitude"],
        longitude=raw["longitude"],
        carbon_free_percent=raw["carbon_free_percent"],
        gpu_zones=MappingProxyType({model: tuple(zones) for model, zones in raw["gpu_zones"].items()}),
    )


def _gpu(model: str, raw: dict[str, Any]) -> Gpu:
    end = raw["end_of_support"]
    return Gpu(model, raw["vram_gb"], raw["family"], date.fromisoformat(end) if end else None)
