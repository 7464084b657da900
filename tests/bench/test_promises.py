"""Nine of ten launches are playable within the time that was promised for them."""

from __future__ import annotations

import pytest

from bench.promises import kept_share, simulate


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nine_of_ten_promises_are_kept(seed: int) -> None:
    outcomes = simulate(1000, 200, seed)

    assert len(outcomes) >= 990
    assert 0.87 <= kept_share(outcomes) <= 0.93


def test_the_same_seed_gives_the_same_launches() -> None:
    assert simulate(50, 20, 7) == simulate(50, 20, 7)
