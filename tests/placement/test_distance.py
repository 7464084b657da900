from __future__ import annotations

import numpy as np
import pytest
from geopy.distance import great_circle

from placement.coordinates import Position
from placement.distance import FARTHEST_KM, distance_km, distances_km, distances_to, estimated_rtt_ms


def test_distances_agree_with_geopys_great_circle() -> None:
    chance = np.random.default_rng(1)
    latitudes, longitudes = chance.uniform(-90, 90, 500), chance.uniform(-180, 180, 500)
    near = Position(32.7767, -96.7970)

    ours = distances_km(near, latitudes, longitudes)

    theirs = [
        great_circle((near.latitude, near.longitude), point).km for point in zip(latitudes, longitudes, strict=True)
    ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        (Position(0, 179.5), Position(0, -179.5), 111.195),  # across the antimeridian
        (Position(90, 0), Position(90, 135), 0.0),  # a pole has every longitude
        (Position(90, 0), Position(-90, 77), FARTHEST_KM),
        (Position(0, 0), Position(0, 180), FARTHEST_KM),
        (Position(-36.85, 174.76), Position(-33.87, 151.21), 2155.5),  # Auckland to Sydney
        (Position(51.5, -0.1), Position(51.5, -0.1), 0.0),
    ],
)
def test_the_odd_corners_of_the_globe_are_measured_right(a: Position, b: Position, km: float) -> None:
    assert distance_km(a, b) == pytest.approx(km, abs=0.2)
    assert distance_km(b, a) == pytest.approx(km, abs=0.2)


def test_what_has_no_position_has_no_distance() -> None:
    near = Position(0, 0)

    assert distance_km(near, None) is None
    assert np.isnan(distances_to(near, [None, near])).tolist() == [True, False]
    assert distances_to(near, []).tolist() == []


def test_the_estimate_is_never_faster_than_light_in_fibre() -> None:
    km = np.array([0.0, 100.0, 612.0, 20015.0])

    rtts = estimated_rtt_ms(km)

    assert rtts.round(2).tolist() == [5.0, 6.5, 14.18, 305.23]
    assert (rtts >= km / 100).all()
