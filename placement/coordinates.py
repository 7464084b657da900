"""A point on the Earth, checked once where it enters."""

from __future__ import annotations

import math
from dataclasses import dataclass

from errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees, WGS 84. Made by `checked`, so that no other part of the service meets NaN or latitude 91."""

    latitude: float
    longitude: float

    @classmethod
    def checked(cls, latitude: float, longitude: float, path: tuple[str, ...] = ()) -> Position:
        """Raises InvalidInputError that names the field. GraphQL's Float lets 2e400 through as infinity."""
        if not math.isfinite(latitude) or abs(latitude) > 90:
            raise InvalidInputError("latitude must be between -90 and 90 degrees", (*path, "latitude"))
        if not math.isfinite(longitude) or abs(longitude) > 180:
            raise InvalidInputError("longitude must be between -180 and 180 degrees", (*path, "longitude"))
        return cls(latitude, longitude)
