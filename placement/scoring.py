"""The order of placements, and why it is so.

Scores read as milliseconds, lower is better: the estimated round trip, plus the price turned into milliseconds by
`Weights`. Candidates that fall within a tenth of a millisecond of each other tie; ties go to the provider the console
prefers, then to the lower price, then to the smaller site id, so that the order is the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from placement.distance import FARTHEST_KM, Floats, distance_km, distances_to, estimated_rtt_ms
from placement.gazetteer import Precision
from placement.positions import Position
from placement.words import distance_words, hardware_words, precision_words, price_words
from providers.base import Offer, Site


@dataclass(frozen=True, slots=True)
class Weights:
    """What a score is made of. By default a dollar an hour weighs as much as 30 ms, which is about 2,000 km."""

    per_rtt_ms: float = 1.0
    per_usd_per_hour: float = 30.0


DEFAULT_WEIGHTS: Final = Weights()


@dataclass(frozen=True, slots=True)
class LocatedSite:
    """A site and where it is, as far as that is known. `country_code` is ISO 3166-1 alpha-2."""

    site: Site
    position: Position | None
    country_code: str | None
    precision: Precision | None = None

    def distance_km(self, near: Position) -> float | None:
        """Great circle; None when the place could not be geocoded."""
        return distance_km(near, self.position)


@dataclass(frozen=True, slots=True)
class RankedPlacement:
    """One candidate. Distance and round trip are None when the player's or the site's position is unknown."""

    rank: int
    located: LocatedSite
    offer: Offer
    distance_km: float | None
    estimated_rtt_ms: float | None
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer that may be taken, before position and price decide."""

    located: LocatedSite
    offer: Offer
    preference: int  # 0 is the provider the console likes best
    trouble: str | None  # what is wrong with the provider, in words


def ranked(
    candidates: Sequence[Candidate], near: Position | None, weights: Weights, limit: int, closest_first: bool
) -> list[RankedPlacement]:
    """The best `limit` of them, with reasons."""
    if not candidates:
        return []
    distances = distances_to(near, [c.located.position for c in candidates]) if near else np.zeros(len(candidates))
    # What lies nowhere we know is counted as if it lay on the other side of the Earth.
    distances_or_worst = np.where(np.isnan(distances), FARTHEST_KM, distances)
    prices = np.array([float(c.offer.usd_per_hour) for c in candidates])
    rtts = estimated_rtt_ms(distances_or_worst) if near else np.zeros(len(candidates))
    scores = weights.per_rtt_ms * rtts + weights.per_usd_per_hour * prices
    order = _order(candidates, np.isnan(distances), distances_or_worst if closest_first else scores)
    lowest = min(candidate.offer.usd_per_hour for candidate in candidates)
    facts = _Facts(candidates, distances if near else None, rtts, scores, lowest)
    return [facts.placement(row, rank) for rank, row in enumerate(order[:limit], 1)]


def _order(candidates: Sequence[Candidate], unlocated: NDArray[np.bool_], measure: Floats) -> list[int]:
    nowhere, rounded = unlocated.tolist(), np.round(measure, 1).tolist()

    def key(row: int) -> tuple[bool, bool, float, int, Decimal, str]:
        one = candidates[row]
        in_trouble = one.trouble is not None
        return in_trouble, nowhere[row], rounded[row], one.preference, one.offer.usd_per_hour, one.located.site.id

    return sorted(range(len(candidates)), key=key)


@dataclass(frozen=True, slots=True)
class _Facts:
    """The numbers of all candidates, from which the chosen ones are described."""

    candidates: Sequence[Candidate]
    distances: Floats | None  # None: nobody said where the player is
    rtts: Floats
    scores: Floats
    lowest_usd_per_hour: Decimal

    def placement(self, row: int, rank: int) -> RankedPlacement:
        one = self.candidates[row]
        distance = None if self.distances is None or np.isnan(self.distances[row]) else float(self.distances[row])
        rtt = None if distance is None else float(self.rtts[row])
        reasons = tuple(self._reasons(one, row, distance, rtt))
        return RankedPlacement(rank, one.located, one.offer, distance, rtt, float(self.scores[row]), reasons)

    def _reasons(self, one: Candidate, row: int, distance: float | None, rtt: float | None) -> Iterable[str]:
        if distance is not None and rtt is not None:
            yield distance_words(distance, rtt)
            if self.distances is not None and distance == np.nanmin(self.distances):
                yield "nearest that fits"
            if vague := precision_words(one.located.precision):
                yield vague
        elif self.distances is not None:
            yield "place unknown: ranked behind every known place"
        is_cheapest = one.offer.usd_per_hour == self.lowest_usd_per_hour
        yield price_words(one.offer.usd_per_hour) + (", cheapest that fits" if is_cheapest else "")
        yield hardware_words(one.located.site, one.offer)
        if one.located.site.dedicated_ip_available:
            yield "dedicated IP"
        if one.trouble:
            yield one.trouble
