"""Activities that are never given up: what the records need is repeated until it succeeds."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import activity

ENDLESS: Final = timedelta(days=365)  # Temporal requires a schedule-to-close timeout
_LONG: Final = timedelta(days=1)


def is_endless(info: activity.Info) -> bool:
    """Return whether the workflow waits for this activity without a time limit."""
    timeout = info.schedule_to_close_timeout
    return timeout is not None and timeout >= _LONG
