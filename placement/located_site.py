"""A site with its position."""

from __future__ import annotations

from dataclasses import dataclass

from placement.coordinates import Position
from placement.distance import distance_km
from placement.gazetteer import Precision
from providers.base import Site


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
