"""Scores placements and explains their order.

Scores are in milliseconds, lower is better: the estimated round-trip time, plus the price converted to milliseconds by
`Weights`. Candidates within a tenth of a millisecond tie. Ties go to the console's preferred provider, then to the
lower price, then to the smaller site id, so that the order is the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from models.catalog import PresetName
from placement.coordinates import Position
from placement.distance import FARTHEST_KM, Floats, distance_km, distances_to, estimated_rtt_ms
from placement.gazetteer import Precision
from placement.google_network_order import RegionOrder, fit_to_order
from placement.reasons import distance_words, first_words, hardware_words, precision_words, price_words
from providers.base import Offer, ProviderName, Site
from providers.google.regions import find_region


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of a score. By default a dollar an hour counts as much as 30 ms, or about 2,000 km."""

    per_rtt_ms: float = 1.0
    per_usd_per_hour: float = 30.0


DEFAULT_WEIGHTS: Final = Weights()


@dataclass(frozen=True, slots=True)
class LocatedSite:
    """A site and its position, as far as known. `country_code` is ISO 3166-1 alpha-2."""

    site: Site
    position: Position | None
    country_code: str | None
    precision: Precision | None = None

    def distance_km(self, near: Position) -> float | None:
        """Return the great-circle distance, or None if the place could not be geocoded."""
        return distance_km(near, self.position)


@dataclass(frozen=True, slots=True)
class RankedPlacement:
    """One placement. Distance and round-trip time are None if the player's or the site's position is unknown."""

    rank: int
    located: LocatedSite
    offer: Offer
    distance_km: float | None
    estimated_rtt_ms: float | None
    score: float
    reasons: tuple[str, ...]
    preset: PresetName | None = None  # of the console's machine


@dataclass(frozen=True, slots=True)
class Candidate:
    """An available offer before position and price are weighed."""

    located: LocatedSite
    offer: Offer
    preference: int  # 0 is the console's first choice
    trouble: str | None  # the provider's problem, in words

    @property
    def google_region(self) -> str:
        """Return the Google region; empty outside Google Cloud."""
        region = find_region(self.located.site.id) if self.offer.provider is ProviderName.CLOUDYPAD else None
        return region.name if region else ""


@dataclass(frozen=True, slots=True)
class Wish:
    """The player's request. `order` is the order of Google's regions on its network, if it was queried."""

    near: Position | None
    limit: int = 10
    closest_first: bool = False
    order: RegionOrder | None = None


def rank_candidates(
    candidates: Sequence[Candidate], wish: Wish, weights: Weights = DEFAULT_WEIGHTS
) -> list[RankedPlacement]:
    """Return the best `limit` candidates with reasons."""
    if not candidates:
        return []
    numbers = _Numbers.of(candidates, wish, weights)
    facts = _Facts(candidates, numbers, wish, min(candidate.offer.usd_per_hour for candidate in candidates))
    order = _order(candidates, numbers, wish.closest_first)
    first = facts.why_first(*order[:2])
    return [
        facts.placement(row, rank, first if rank == 1 else ()) for rank, row in enumerate(order[: wish.limit], start=1)
    ]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Figures of all candidates. Distances are NaN if the player's or the site's position is unknown."""

    distances: Floats
    rtts: Floats
    scores: Floats

    @classmethod
    def of(cls, candidates: Sequence[Candidate], wish: Wish, weights: Weights) -> _Numbers:
        prices = np.array([float(c.offer.usd_per_hour) for c in candidates])
        if wish.near is None:
            nothing = np.full(len(candidates), np.nan)
            return cls(nothing, nothing, weights.per_usd_per_hour * prices)
        distances = distances_to(wish.near, [c.located.position for c in candidates])
        # A site at an unknown place counts as if it were on the other side of the Earth.
        rtts = estimated_rtt_ms(np.where(np.isnan(distances), FARTHEST_KM, distances))
        if wish.order is not None:
            rtts = np.array(fit_to_order([c.google_region for c in candidates], rtts.tolist(), wish.order))
        return cls(distances, rtts, weights.per_rtt_ms * rtts + weights.per_usd_per_hour * prices)


def _order(candidates: Sequence[Candidate], numbers: _Numbers, closest_first: bool) -> list[int]:
    unlocated = np.isnan(numbers.distances).tolist()
    by_distance = closest_first and not np.isnan(numbers.rtts).any()
    measure = (np.round(numbers.rtts, 3) if by_distance else np.round(numbers.scores, 1)).tolist()

    def key(row: int) -> tuple[bool, bool, float, int, Decimal, str]:
        one = candidates[row]
        in_trouble = one.trouble is not None
        return in_trouble, unlocated[row], measure[row], one.preference, one.offer.usd_per_hour, one.located.site.id

    return sorted(range(len(candidates)), key=key)


@dataclass(frozen=True, slots=True)
class _Facts:
    """The facts that a placement's reasons are made of."""

    candidates: Sequence[Candidate]
    numbers: _Numbers
    wish: Wish
    lowest_usd_per_hour: Decimal

    def why_first(self, first: int, second: int | None = None) -> tuple[str, ...]:
        """Return why the first is first, if two known places were compared."""
        if second is None:
            return ("first: nothing else fits",)
        one, other = self.candidates[first], self.candidates[second]
        closer_ms = float(self.numbers.rtts[second] - self.numbers.rtts[first])
        is_weighed = not (self.wish.closest_first or other.trouble or np.isnan(self.numbers.distances[second]))
        return (first_words(closer_ms, other.offer.usd_per_hour - one.offer.usd_per_hour),) if is_weighed else ()

    def placement(self, row: int, rank: int, why_first: tuple[str, ...]) -> RankedPlacement:
        one = self.candidates[row]
        located = not np.isnan(self.numbers.distances[row])
        distance = float(self.numbers.distances[row]) if located else None
        rtt = float(self.numbers.rtts[row]) if located else None
        reasons = (*self._where(one, distance, rtt), *self._what(one), *why_first)
        return RankedPlacement(rank, one.located, one.offer, distance, rtt, float(self.numbers.scores[row]), reasons)

    def _where(self, one: Candidate, distance: float | None, rtt: float | None) -> Iterable[str]:
        if self.wish.near is None:
            return
        if distance is None or rtt is None:
            yield "place unknown: ranked after every known place"
            return
        yield distance_words(distance, rtt)
        if distance == np.nanmin(self.numbers.distances):
            yield "nearest that fits"
        if vague := precision_words(one.located.precision):
            yield vague
        if one.google_region and self.wish.order is not None:
            yield self.wish.order.reason

    def _what(self, one: Candidate) -> Iterable[str]:
        is_cheapest = one.offer.usd_per_hour == self.lowest_usd_per_hour
        yield price_words(one.offer.usd_per_hour) + (", cheapest that fits" if is_cheapest else "")
        yield hardware_words(one.located.site, one.offer)
        if one.located.site.dedicated_ip_available:
            yield "dedicated IP"
        if one.trouble:
            yield one.trouble
