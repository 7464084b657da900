"""Reasons for a placement's rank, written for players."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from placement.gazetteer import Precision
from providers.base import Offer, Site

_PART_OF_MODEL: Final = re.compile(
    r"nvidia|geforce|quadro|tesla|gtx|rtx|[a-z]?\d+(?:s(?!f))?|sff|ada|pro|tilhr|ti|[a-z]+"
)
_SILENT: Final = {"nvidia", "geforce", "tesla", "pcie", "nvlink", "vws"}
_WRITTEN: Final = {"quadro": "Quadro", "ada": "Ada", "ti": "Ti", "tilhr": "Ti LHR"}
_VAGUE: Final = {
    Precision.REGION: "only its region is known, so the distance is rough",
    Precision.COUNTRY: "only its country is known, so the distance is rough",
}


def distance_words(distance_km: float, rtt_ms: float) -> str:
    """Return distance and estimated round-trip time in words."""
    return f"{distance_km:.0f} km away, about {rtt_ms:.0f} ms (estimated)"


def measured_words(distance_km: float | None, rtt_ms: float) -> str:
    """Return the round-trip time that the player measured in words, with the distance if it is known."""
    where = "" if distance_km is None else f"{distance_km:.0f} km away, "
    return f"{where}{rtt_ms:.0f} ms (measured)"


def first_words(closer_ms: float, cheaper_usd: Decimal) -> str:
    """Return why the first placement precedes the second.

    The arguments are how much closer and cheaper it is; negative values mean farther and more expensive.
    """
    closer, cheaper = f"{abs(closer_ms):.0f} ms", price_words(abs(cheaper_usd))
    if closer_ms >= 0 and cheaper_usd >= 0:
        return "first: neither farther nor more expensive than the next"
    if closer_ms > 0:
        return f"first: {closer} closer than the next, which outweighs {cheaper} more"
    if cheaper_usd > 0:
        return f"first: {cheaper} less than the next, which outweighs {closer} more"
    return "first: as good as the next, on the provider this console prefers"


def precision_words(precision: Precision | None) -> str | None:
    """Return a warning if the site's place is known only roughly."""
    return None if precision is None else _VAGUE.get(precision)


def price_words(usd_per_hour: Decimal) -> str:
    """Return an hourly price in words."""
    return f"{usd_per_hour.normalize():f} USD per hour"


def hardware_words(site: Site, offer: Offer) -> str:
    """Return "RTX 4090 24 GB", or the processors of a machine without a GPU."""
    if offer.gpu_model is None:
        return f"{offer.vcpus} vCPU, {offer.ram_gb} GB RAM, no GPU"
    vram_gb = next((gpu.vram_gb for gpu in site.gpus if gpu.model == offer.gpu_model), None)
    return gpu_words(offer.gpu_model) + (f" {vram_gb} GB" if vram_gb else "")


def gpu_words(model: str) -> str:
    """Return a GPU's trade name: "geforcertx4090-pcie-24gb" is "RTX 4090". Bus and memory are omitted."""
    bare = re.sub(r"-\d+gb$|-sxm\d*\b", "", model.lower())
    parts = [part for part in _PART_OF_MODEL.findall(bare) if part not in _SILENT]
    return " ".join(_WRITTEN.get(part, part.upper()) for part in parts)


def waiting_words(seconds: float) -> str:
    """Return how long players usually wait until they can play."""
    minutes = max(1, round(seconds / 60))
    return f"usually playable in {minutes} {'minute' if minutes == 1 else 'minutes'}"
