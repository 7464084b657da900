"""A validated point on the Earth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees in WGS 84.

    Created by `create`, so that no other part of the service meets NaN or a latitude of 91.
    """

    latitude: float
    longitude: float

    @classmethod
    def create(cls, latitude: float, longitude: float, path: tuple[str, ...] = ()) -> Position:
        """Return the position, or raise InvalidInputError naming the field.

        GraphQL's Float accepts 2e400 as infinity.
        """
        if not math.isfinite(latitude) or abs(latitude) > 90:
            raise InvalidInputError("latitude must be between -90 and 90 degrees", (*path, "latitude"))
        if not math.isfinite(longitude) or abs(longitude) > 180:
            raise InvalidInputError("longitude must be between -180 and 180 degrees", (*path, "longitude"))
        return cls(latitude, longitude)
