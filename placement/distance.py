"""Great-circle distances for all sites at once, and the round-trip time that they imply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from placement.coordinates import Position

EARTH_RADIUS_KM: Final = 6371.0088  # mean radius (IUGG), the sphere that geopy's great_circle uses
FARTHEST_KM: Final = float(np.pi * EARTH_RADIUS_KM)
FIXED_RTT_MS: Final = 5.0  # access networks and routers at both ends
RTT_MS_PER_100_KM: Final = 1.5  # light in fibre needs 1.0; cables are about half as long again as the great circle

Floats = NDArray[np.float64]


def distances_km(near: Position, latitudes: Floats, longitudes: Floats) -> Floats:
    """Return great-circle distances (haversine) from one position to many, given in degrees. NaN stays NaN."""
    latitude, longitude = np.radians(near.latitude), np.radians(near.longitude)
    others = np.radians(latitudes)
    half_chord = (
        np.sin((others - latitude) / 2) ** 2
        + np.cos(latitude) * np.cos(others) * np.sin((np.radians(longitudes) - longitude) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half_chord, 0, 1))), np.float64)


def distances_to(near: Position, positions: Sequence[Position | None]) -> Floats:
    """Return distances as `distances_km` does; NaN where a position is missing."""
    nowhere = (np.nan, np.nan)
    points = np.array([(p.latitude, p.longitude) if p else nowhere for p in positions], np.float64).reshape(-1, 2)
    return distances_km(near, points[:, 0], points[:, 1])


def distance_km(a: Position, b: Position | None) -> float | None:
    """Return the distance between two positions, or None if the second is unknown."""
    return None if b is None else float(distances_to(a, [b])[0])


def estimated_rtt_ms(distances: Floats) -> Floats:
    """Estimate the round-trip time from distance alone: 5 ms + 1.5 ms per 100 km.

    The estimate is never below what light in fibre allows (1 ms per 100 km). The real round-trip time depends on the
    player's connection and may be far worse.
    """
    return FIXED_RTT_MS + distances / 100 * RTT_MS_PER_100_KM
