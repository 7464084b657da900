"""Round trips that players measured to sites, and the endpoints that they measure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from errors import InvalidInputError
from placement.scoring import SiteKey

MOST: Final = 100  # measurements in one request
LOWEST_MS: Final = 1.0
HIGHEST_MS: Final = 1000.0
_UNBELIEVABLE_MS: Final = 60_000.0


@dataclass(frozen=True, slots=True)
class RttProbe:
    """An endpoint that is as far from a player as a site is."""

    site: SiteKey
    url: str


def clamp_measured(sent: Iterable[tuple[SiteKey | None, float]]) -> dict[SiteKey, float]:
    """Return the round trips by site, clamped to 1 to 1,000 ms.

    Raises InvalidInputError for more than 100, a value that is no round trip, an id of no site and a repeated site.
    Sites that no cloud lists are not an error: stock changes.
    """
    measured: dict[SiteKey, float] = {}
    for number, (site, rtt_ms) in enumerate(sent):
        path = ("measuredRtt", str(number))
        if number >= MOST:
            raise InvalidInputError(f"measuredRtt may have at most {MOST} entries", ("measuredRtt",))
        if site is None:
            raise InvalidInputError("siteId must be the id of a site", (*path, "siteId"))
        if site in measured:
            raise InvalidInputError("measuredRtt may name each site only once", (*path, "siteId"))
        if not (math.isfinite(rtt_ms) and 0 < rtt_ms <= _UNBELIEVABLE_MS):
            raise InvalidInputError(f"rttMs must be more than 0 and at most {_UNBELIEVABLE_MS:g}", (*path, "rttMs"))
        measured[site] = min(max(rtt_ms, LOWEST_MS), HIGHEST_MS)
    return measured
