"""Scores placements and explains their order.

Scores are in milliseconds, lower is better: the round-trip time as the player measured it or as estimated, plus the
price and the usual waiting time until the game is playable, converted to milliseconds by `Weights`. Candidates within a
tenth of a millisecond tie. Ties go to the console's preferred provider, then to the lower price, then to the smaller
site id, so that the order is the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.catalog import PresetName
from placement.coordinates import Position
from placement.distance import FARTHEST_KM, Floats, distances_km, estimated_rtt_ms
from placement.google_network_order import RegionOrder, fit_to_order
from placement.located_site import LocatedSite
from placement.offer_table import OfferTable
from placement.reasons import (
    distance_words,
    first_words,
    hardware_words,
    measured_words,
    precision_words,
    price_words,
    waiting_words,
)
from providers.base import Offer, ProviderName, SiteId

Rows = NDArray[np.int64]
SiteKey = tuple[ProviderName, SiteId]
_MORE_THAN_SITES: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of a score. By default a dollar an hour counts as much as 30 ms, or about 2,000 km.

    A minute of waiting counts nothing unless its weight is set.
    """

    per_rtt_ms: float = 1.0
    per_usd_per_hour: float = 30.0
    per_waiting_minute: float = 0.0

    def score(self, rtt_ms: float, usd_per_hour: Decimal, waiting_s: float | None) -> float:
        """Return the score of one place."""
        waiting = 0.0 if waiting_s is None else self.per_waiting_minute * waiting_s / 60
        return self.per_rtt_ms * rtt_ms + self.per_usd_per_hour * float(usd_per_hour) + waiting


DEFAULT_WEIGHTS: Final = Weights()


@dataclass(frozen=True, slots=True)
class RankedPlacement:
    """One placement. Distance and estimate are None if the player's or the site's position is unknown."""

    rank: int
    located: LocatedSite
    offer: Offer
    distance_km: float | None
    estimated_rtt_ms: float | None
    score: float
    reasons: tuple[str, ...]
    measured_rtt_ms: float | None = None  # as the player measured it; the score uses it instead of the estimate
    preset: PresetName | None = None  # of the console's machine


@dataclass(frozen=True, slots=True)
class UsualWaits:
    """How long players usually wait at one cloud, in seconds: at sites that are known well enough, and elsewhere."""

    elsewhere_s: float
    by_site_s: Mapping[str, float]

    def at(self, site_id: str) -> float:
        """Return the usual wait at one site."""
        return self.by_site_s.get(site_id, self.elsewhere_s)


@dataclass(frozen=True, slots=True)
class CloudOffers:
    """The offers of one cloud that a request may use."""

    table: OfferTable
    rows: Rows  # ascending
    preference: int  # 0 is the console's first choice; no two clouds share one
    trouble: str | None  # the provider's problem, in words
    waits: UsualWaits | None = None  # None if waiting is not weighed


@dataclass(frozen=True, slots=True)
class Wish:
    """The player's request. `order` is the order of Google's regions on its network, if it was queried.

    `measured` has the round trips in milliseconds that the player measured.
    """

    near: Position | None
    limit: int = 10
    closest_first: bool = False
    order: RegionOrder | None = None
    measured: Mapping[SiteKey, float] = field(default_factory=dict)


def rank_offers(clouds: Sequence[CloudOffers], wish: Wish, weights: Weights = DEFAULT_WEIGHTS) -> list[RankedPlacement]:
    """Return the best `limit` offers with reasons."""
    clouds = [cloud for cloud in clouds if cloud.rows.size]
    if not clouds:
        return []
    numbers = _Numbers.of(clouds, wish, weights)
    facts = _Facts(clouds, numbers, wish, min(cloud.table.prices[cloud.rows[0]] for cloud in clouds))
    order = _best(clouds, numbers, wish)
    first = facts.why_first(*order[:2])
    return [
        facts.placement(row, rank, first if rank == 1 else ()) for rank, row in enumerate(order[: wish.limit], start=1)
    ]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Figures of all offers, cloud by cloud. Unknown distances and round trips that were not measured are NaN."""

    clouds: Rows  # the number of each offer's cloud
    rows: Rows  # its row in that cloud's table
    distances: Floats
    estimates: Floats
    measured: Floats
    rtts: Floats  # measured, or else estimated
    scores: Floats

    @classmethod
    def of(cls, clouds: Sequence[CloudOffers], wish: Wish, weights: Weights) -> _Numbers:
        numbers = np.concatenate([np.full(cloud.rows.size, number) for number, cloud in enumerate(clouds)])
        rows = np.concatenate([cloud.rows for cloud in clouds])
        prices = np.concatenate([cloud.table.usd_per_hour[cloud.rows] for cloud in clouds])
        minutes = np.concatenate([waits_in(cloud) for cloud in clouds]) / 60
        costs = weights.per_usd_per_hour * prices + weights.per_waiting_minute * minutes
        measured, nothing = _measured(clouds, wish.measured), np.full(rows.size, np.nan)
        if wish.near is None and np.isnan(measured).all():
            return cls(numbers, rows, nothing, nothing, nothing, nothing, costs)
        near = wish.near
        distances = nothing if near is None else np.concatenate([distances_in(cloud, near) for cloud in clouds])
        # A site at an unknown place counts as if it were on the other side of the Earth.
        estimates = estimated_rtt_ms(np.where(np.isnan(distances), FARTHEST_KM, distances))
        if wish.order is not None:
            _fit_google(estimates, clouds, wish.order)
        rtts = np.where(np.isnan(measured), estimates, measured)
        return cls(numbers, rows, distances, estimates, measured, rtts, weights.per_rtt_ms * rtts + costs)

    @property
    def unlocated(self) -> NDArray[np.bool_]:
        """Return which offers are at unknown places, and not measured either."""
        return np.isnan(self.distances) & np.isnan(self.measured)


def _measured(clouds: Sequence[CloudOffers], measured: Mapping[SiteKey, float]) -> Floats:
    """Return the measured round trips of all offers, NaN where there is none."""
    parts = [np.full(cloud.rows.size, np.nan) for cloud in clouds]
    for (provider, site_id), rtt_ms in measured.items():
        for part, cloud in zip(parts, clouds, strict=True):
            row = cloud.table.row_of_site.get(site_id) if cloud.table.offers[0].provider is provider else None
            if row is not None:
                part[cloud.rows == row] = rtt_ms
    return np.concatenate(parts)


def distances_in(cloud: CloudOffers, near: Position) -> Floats:
    """Return the distances of a cloud's usable offers; NaN where a position is unknown."""
    return distances_km(near, cloud.table.latitudes[cloud.rows], cloud.table.longitudes[cloud.rows])


def waits_in(cloud: CloudOffers) -> Floats:
    """Return the usual waits in seconds at a cloud's usable offers; zeros if waiting is not weighed."""
    if cloud.waits is None:
        return np.zeros(cloud.rows.size)
    waits = np.full(len(cloud.table.offers), cloud.waits.elsewhere_s)
    for site_id, seconds in cloud.waits.by_site_s.items():
        if (row := cloud.table.row_of_site.get(site_id)) is not None:
            waits[row] = seconds
    return waits[cloud.rows]


def _fit_google(rtts: Floats, clouds: Sequence[CloudOffers], order: RegionOrder) -> None:
    """Fit the round-trip times of Google's regions to their order on its network, in place."""
    start = 0
    for cloud in clouds:
        part = slice(start, start + cloud.rows.size)
        start = part.stop
        regions = [cloud.table.google_regions[row] for row in cloud.rows] if cloud.table.google_regions[0] else []
        if regions:
            rtts[part] = fit_to_order(regions, rtts[part].tolist(), order)


def _best(clouds: Sequence[CloudOffers], numbers: _Numbers, wish: Wish) -> list[int]:
    """Return the positions of the best offers: those of clouds in trouble last, unknown places before them."""
    by_distance = wish.closest_first and not np.isnan(numbers.rtts).any()
    measure = np.round(numbers.rtts, 3) if by_distance else np.round(numbers.scores, 1)
    in_trouble = np.array([cloud.trouble is not None for cloud in clouds])[numbers.clouds]
    groups = 2 * in_trouble + numbers.unlocated
    # The rows of a table are in the order of price and site id.
    ties = np.array([cloud.preference for cloud in clouds])[numbers.clouds] * _MORE_THAN_SITES + numbers.rows
    best: list[int] = []
    wanted = max(wish.limit, 2)  # the first placement is compared with the second
    for group in np.unique(groups):
        best += _smallest(np.flatnonzero(groups == group), measure, ties, wanted - len(best))
        if len(best) == wanted:
            break
    return best


def _smallest(among: Rows, measure: Floats, ties: Rows, count: int) -> list[int]:
    if among.size > count:
        limit = np.partition(measure[among], count - 1)[count - 1]
        among = among[measure[among] <= limit]
    order: list[int] = among[np.lexsort((ties[among], measure[among]))][:count].tolist()
    return order


@dataclass(frozen=True, slots=True)
class _Offered:
    located: LocatedSite
    offer: Offer
    google_region: str
    trouble: str | None
    waiting_s: float | None


@dataclass(frozen=True, slots=True)
class _Facts:
    """The facts that a placement's reasons are made of."""

    clouds: Sequence[CloudOffers]
    numbers: _Numbers
    wish: Wish
    lowest_usd_per_hour: Decimal

    def _offer(self, row: int) -> _Offered:
        cloud = self.clouds[self.numbers.clouds[row]]
        at = int(self.numbers.rows[row])
        located, offer = cloud.table.located[at], cloud.table.offers[at]
        waiting_s = None if cloud.waits is None else cloud.waits.at(offer.site_id)
        return _Offered(located, offer, cloud.table.google_regions[at], cloud.trouble, waiting_s)

    def why_first(self, first: int, second: int | None = None) -> tuple[str, ...]:
        """Return why the first is first, if two known places were compared."""
        if second is None:
            return ("first: nothing else fits",)
        one, other = self._offer(first), self._offer(second)
        closer_ms = float(self.numbers.rtts[second] - self.numbers.rtts[first])
        is_weighed = not (self.wish.closest_first or other.trouble or self.numbers.unlocated[second])
        return (first_words(closer_ms, other.offer.usd_per_hour - one.offer.usd_per_hour),) if is_weighed else ()

    def placement(self, row: int, rank: int, why_first: tuple[str, ...]) -> RankedPlacement:
        one = self._offer(row)
        distance, measured = _known(self.numbers.distances[row]), _known(self.numbers.measured[row])
        estimate = None if distance is None else float(self.numbers.estimates[row])
        reasons = (*self._where(one, distance, estimate, measured), *self._what(one), *why_first)
        score = float(self.numbers.scores[row])
        return RankedPlacement(rank, one.located, one.offer, distance, estimate, score, reasons, measured)

    def _where(
        self, one: _Offered, distance: float | None, estimate: float | None, measured: float | None
    ) -> Iterable[str]:
        if measured is not None:
            yield measured_words(distance, measured)
        elif distance is not None and estimate is not None:
            yield distance_words(distance, estimate)
        elif not np.isnan(self.numbers.rtts[0]):
            yield "place unknown: ranked after every known place"
        if distance is None:
            return
        if distance == np.nanmin(self.numbers.distances):
            yield "nearest that fits"
        if vague := precision_words(one.located.precision):
            yield vague
        if measured is None and one.google_region and self.wish.order is not None:
            yield self.wish.order.reason

    def _what(self, one: _Offered) -> Iterable[str]:
        is_cheapest = one.offer.usd_per_hour == self.lowest_usd_per_hour
        yield price_words(one.offer.usd_per_hour) + (", cheapest that fits" if is_cheapest else "")
        yield hardware_words(one.located.site, one.offer)
        if one.located.site.dedicated_ip_available:
            yield "dedicated IP"
        if one.waiting_s is not None:
            yield waiting_words(one.waiting_s)
        if one.trouble:
            yield one.trouble


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
