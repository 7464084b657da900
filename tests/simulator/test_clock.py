from __future__ import annotations

import time

import pytest

from simulator.clock import Clock


async def test_a_fast_clock_passes_an_hour_in_no_time() -> None:
    clock = Clock(factor=100_000)
    before, real_before = clock.now(), time.monotonic()

    await clock.sleep(3600)

    assert clock.now() - before >= 3600
    assert time.monotonic() - real_before < 2


async def test_at_factor_one_simulated_time_is_real_time() -> None:
    clock = Clock(factor=1)
    real_before = time.monotonic()

    await clock.sleep(0.05)

    assert 0.05 <= time.monotonic() - real_before < 2
    assert clock.real_seconds(90) == 90


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_clock_that_could_not_run_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="clock factor"):
        Clock(factor)
