"""Summarizes hosts by country and city, for a map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from placement.coordinates import Position
from placement.located_site import LocatedSite
from placement.place_names import normalise


@dataclass(frozen=True, slots=True)
class LocationSummary:
    """The hosts of one city. Hosts that are offline are counted, but their GPUs are not."""

    country: str
    country_code: str | None
    city: str | None
    hostnodes: int
    gpus_available: int
    position: Position | None


def summarize(located: Iterable[LocatedSite]) -> list[LocationSummary]:
    """Return one entry per city, sorted by country and city.

    Different spellings of a name count as one city; the first one is shown.
    """
    groups: dict[tuple[str, str], list[LocatedSite]] = {}
    for one in located:
        place = one.site.place
        country = one.country_code or normalise(place.country)
        groups.setdefault((country, normalise(place.city)), []).append(one)
    return sorted(map(_summary, groups.values()), key=lambda s: (s.country, s.city or ""))


def _summary(group: Sequence[LocatedSite]) -> LocationSummary:
    first = group[0]
    gpus = sum(gpu.available for one in group if one.site.online for gpu in one.site.gpus)
    place = first.site.place
    return LocationSummary(place.country, first.country_code, place.city or None, len(group), gpus, first.position)
