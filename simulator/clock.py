"""The clock of the simulated world."""

from __future__ import annotations

import asyncio
import time

from simulator.delays import SHORT, Delays

DEFAULT_FACTOR = 10.0


class Clock:
    """Simulated time runs `factor` times as fast as real time: 1 is real time, 100000 is next to no waiting."""

    def __init__(self, factor: float = DEFAULT_FACTOR, delays: Delays = SHORT) -> None:
        if not 0 < factor < float("inf"):
            raise ValueError(f"the clock factor must be a positive number, not {factor}")
        self.factor = factor
        self.delays = delays
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the simulated seconds since this clock was created."""
        return (time.monotonic() - self._began) * self.factor

    def real_seconds(self, simulated_s: float) -> float:
        return simulated_s / self.factor

    async def sleep(self, simulated_s: float) -> None:
        await asyncio.sleep(self.real_seconds(simulated_s))
