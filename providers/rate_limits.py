"""Reads from a response's headers how long to wait.

Names and forms differ from API to API; the common ones are read. `Retry-After` counts on a rejected request.
`X-RateLimit-Remaining: 0` with `X-RateLimit-Reset` counts on any response: the next request would be rejected.
`RateLimit-Remaining`, `RateLimit-Reset` and the combined `RateLimit` of the IETF draft mean the same. A reset is a
number of seconds, or a moment in seconds or milliseconds since 1970.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

_PREFIXES: Final = ("x-ratelimit-", "x-rate-limit-", "ratelimit-")
_MOMENT: Final = 1e9  # larger numbers are moments: as a wait it would be thirty years
_MILLISECONDS: Final = 1e11
_COMBINED: Final = re.compile(r"\b(remaining|reset|r|t)\s*=\s*(\d+)")
_LONG: Final = {"r": "remaining", "t": "reset"}


def reset_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds until the limit resets, or None if the headers do not say. Header names are lower case."""
    value = _value(headers, "reset")
    if value is None:
        return None
    if value < _MOMENT:
        return value
    moment = value / 1000 if value >= _MILLISECONDS else value
    return max(0.0, moment - (time.time() if now is None else now))


def is_used_up(headers: Mapping[str, str]) -> bool:
    """Return whether no further request is allowed until the reset."""
    return _value(headers, "remaining") == 0


def _value(headers: Mapping[str, str], name: str) -> float | None:
    for prefix in _PREFIXES:
        if (found := headers.get(f"{prefix}{name}")) is not None:
            return _number(found)
    combined = {_LONG.get(key, key): value for key, value in _COMBINED.findall(headers.get("ratelimit", ""))}
    return _number(combined[name]) if name in combined else None


def _number(text: str) -> float | None:
    found = re.fullmatch(r"\s*(\d{1,15})(\.\d{1,9})?\s*", text.partition(",")[0].partition(";")[0])
    return None if found is None else float(found[0])
