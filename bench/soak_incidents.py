"""Counts unrequested incidents of machines in a soak, for which the audit allows time and money."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

_PAUSE_S: Final = 0.5


@dataclass
class Incidents:
    """Counts of incidents.

    `unasked` counts changes of a machine, and `price_changes_usd` sums up those of its price, by the cloud's id.
    `terminated` counts, by our VM's id, how often the workflow that monitored or rented it was ended.
    """

    unasked: Counter[str] = field(default_factory=Counter)
    price_changes_usd: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    terminated: Counter[str] = field(default_factory=Counter)


async def spread(count: int, progress: Callable[[], float], act: Callable[[], Awaitable[int]]) -> None:
    """Act that many times, evenly over a soak with `progress` from 0 to 1. An act returns how many it counts as."""
    done = 0
    while done < count:
        acted = 0 if done + 1 > count * progress() else await act()
        done += acted
        if not acted:
            await asyncio.sleep(_PAUSE_S)
