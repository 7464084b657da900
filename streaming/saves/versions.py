"""Selects the versions of a save to keep: the last 20, one per hour, one per day, and the session's first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

_FORM: Final = "%Y%m%dT%H%M%S%fZ"
_HOURLY: Final = timedelta(days=7)
_DAILY: Final = timedelta(days=365)
_HOUR_DIGITS, _DAY_DIGITS = len("20261130T14"), len("20261130")


def version_name(moment: datetime) -> str:
    """Return the name of a version: its time, so that names sort by age."""
    return moment.astimezone(UTC).strftime(_FORM)


def moment_of(name: str) -> datetime | None:
    """Return the time in a version's name, or None for other names."""
    try:
        return datetime.strptime(name, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def select_superfluous(
    names: Sequence[str], now: datetime, *, last: int, began_with: Collection[str] = ()
) -> list[str]:
    """Return the versions to remove. The newest of each hour of a week and of each day of a year are kept."""
    ordered = sorted(names)
    kept = {*ordered[len(ordered) - min(last, len(ordered)) :], *began_with}
    kept |= _newest_of_each(ordered, now - _HOURLY, lambda name: name[:_HOUR_DIGITS])
    kept |= _newest_of_each(ordered, now - _DAILY, lambda name: name[:_DAY_DIGITS])
    return [name for name in ordered if name not in kept]


def _newest_of_each(ordered: Sequence[str], since: datetime, period: Callable[[str], str]) -> set[str]:
    oldest = version_name(since)
    return set({period(name): name for name in ordered if name >= oldest}.values())
