"""How fast we may ask: one lane per kind of request, each with its own pace and its own rest after a 429."""

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
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # first come, first served
    free_at: float = 0.0
    turned_away: int = 0  # times in a row


class Pacing:
    """At most `per_second` requests of each kind. Nobody waits longer than `patience_s` for its turn."""

    def __init__(self, per_second: float, patience_s: float = 60.0) -> None:
        self._interval_s = 1 / per_second
        self._patience_s = patience_s
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)
        self._all_free_at = 0.0

    async def turn(self, kind: str) -> None:
        """Return when a request of this kind may leave. NothingSentError when that would take too long."""
        lane = self._lanes[kind]
        try:
            async with asyncio.timeout(self._patience_s), lane.turn:
                while (wait_s := max(lane.free_at, self._all_free_at) - monotonic()) > 0:
                    if wait_s > self._patience_s:
                        raise NothingSentError(f"{kind}: we were told to wait {wait_s:.0f} s")
                    await asyncio.sleep(wait_s)
                lane.free_at = monotonic() + self._interval_s
        except TimeoutError as error:
            raise NothingSentError(f"{kind}: no turn within {self._patience_s:g} s") from error

    def rest(self, kind: str, retry_after: str | None) -> None:
        """We were turned away: the whole kind waits, as long as we were told or else twice as long each time."""
        lane = self._lanes[kind]
        lane.turned_away += 1
        asked_s = _seconds(retry_after)
        rest_s = min(60.0, self._interval_s * 2.0 ** min(lane.turned_away, 20)) if asked_s is None else asked_s
        lane.free_at = max(lane.free_at, monotonic() + min(rest_s, _LONGEST_REST_S))

    def rest_all(self, seconds: float) -> None:
        """No request of any kind leaves for this long: the limit of the whole account is used up."""
        self._all_free_at = max(self._all_free_at, monotonic() + min(seconds, _LONGEST_REST_S))

    def went_well(self, kind: str) -> None:
        self._lanes[kind].turned_away = 0


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header: seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # the latter for a year beyond all machine words
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
