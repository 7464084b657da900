"""Limits the rate of requests: each kind has its own interval, and its own pause after a 429."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic

from providers.http import NothingSentError

_LONGEST_REST_S = 600.0


@dataclass(slots=True)
class _Lane:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # first in, first out
    free_at: float = 0.0
    rejections: int = 0  # consecutive 429 responses


class RateLimiter:
    """Allows `per_second` requests of each kind; no request waits longer than `patience_s`."""

    def __init__(self, per_second: float, patience_s: float = 60.0) -> None:
        self._interval_s = 1 / per_second
        self._patience_s = patience_s
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)
        self._all_free_at = 0.0

    async def wait_for_turn(self, kind: str) -> None:
        """Wait until a request of this kind may be sent. Raises NothingSentError if that would take too long."""
        lane = self._lanes[kind]
        try:
            async with asyncio.timeout(self._patience_s), lane.turn:
                while (wait_s := max(lane.free_at, self._all_free_at) - monotonic()) > 0:
                    if wait_s > self._patience_s:
                        raise NothingSentError(f"{kind}: the server asks for a pause of {wait_s:.0f} s")
                    await asyncio.sleep(wait_s)
                lane.free_at = monotonic() + self._interval_s
        except TimeoutError as error:
            raise NothingSentError(f"{kind}: no turn within {self._patience_s:g} s") from error

    def back_off(self, kind: str, retry_after: str | None) -> None:
        """Pause a kind of request after a 429: for `retry_after`, or else twice as long each time."""
        lane = self._lanes[kind]
        lane.rejections += 1
        asked_s = _seconds(retry_after)
        rest_s = min(60.0, self._interval_s * 2.0 ** min(lane.rejections, 20)) if asked_s is None else asked_s
        lane.free_at = max(lane.free_at, monotonic() + min(rest_s, _LONGEST_REST_S))

    def back_off_all(self, seconds: float) -> None:
        """Pause all kinds of requests, because the limit of the whole account is used up."""
        self._all_free_at = max(self._all_free_at, monotonic() + min(seconds, _LONGEST_REST_S))

    def record_success(self, kind: str) -> None:
        self._lanes[kind].rejections = 0


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, which is a number or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # OverflowError: a year that no machine word holds
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
