"""What playing for some hours would cost, in the parts of its price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from billing.amounts import EXACT, total
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
    """`total_usd` is the sum of its parts."""

    usd_per_hour: Decimal
    total_usd: Decimal
    parts: tuple[Part, ...]


def checked_hours(hours: float) -> Decimal:
    """As they were written. InvalidInputError when nobody could play so long."""
    if not (math.isfinite(hours) and 0 < hours <= MAX_HOURS):
        raise InvalidInputError(f"hours must be more than 0 and at most {MAX_HOURS}", ("hours",))
    return Decimal(str(hours))


def estimate(offer: Offer, hours: Decimal) -> Estimate:
    parts = tuple(Part(name, EXACT.multiply(usd, hours)) for name, usd in _prices(offer))
    return Estimate(offer.usd_per_hour, total(part.usd for part in parts), parts)


def _prices(offer: Offer) -> list[tuple[str, Decimal]]:
    """The cloud's own parts where it names them, else the machine and what remains of the price while it is stopped."""
    if offer.lines:
        return [(line.part.value, line.usd_per_hour) for line in offer.lines]
    storage = min(offer.usd_per_hour_stopped, offer.usd_per_hour)
    return [(_MACHINE, offer.usd_per_hour - storage), (_STORAGE, storage)]
