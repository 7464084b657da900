"""Estimates the cost of playing for some hours, in the parts of its price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from billing.amounts import EXACT, sum_exactly
from errors import InvalidInputError
from providers.base import Offer

MAX_HOURS: Final = 366 * 24
_MACHINE: Final = "machine"
_STORAGE: Final = "storage"


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate. `total_usd` is the sum of its parts."""

    usd_per_hour: Decimal
    total_usd: Decimal
    parts: tuple[Part, ...]


def validate_hours(hours: float) -> Decimal:
    """Return the hours as they were written. Raises InvalidInputError if they are out of range."""
    if not (math.isfinite(hours) and 0 < hours <= MAX_HOURS):
        raise InvalidInputError(f"hours must be more than 0 and at most {MAX_HOURS}", ("hours",))
    return Decimal(str(hours))


def estimate(offer: Offer, hours: Decimal) -> Estimate:
    """Return the cost of an offer for these hours."""
    parts = tuple(Part(name, EXACT.multiply(usd, hours)) for name, usd in _prices(offer))
    return Estimate(offer.usd_per_hour, sum_exactly(part.usd for part in parts), parts)


def _prices(offer: Offer) -> list[tuple[str, Decimal]]:
    """Return the cloud's own parts if it has them, else the storage price while stopped, and the rest as machine."""
    if offer.lines:
        return [(line.part.value, line.usd_per_hour) for line in offer.lines]
    storage = min(offer.usd_per_hour_stopped, offer.usd_per_hour)
    return [(_MACHINE, offer.usd_per_hour - storage), (_STORAGE, storage)]
