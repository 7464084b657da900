"""An independent computation of costs, in fractions, from intervals and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from models.catalog import ConsoleType
from models.usage import UsageInterval, UsageState
from providers.base import ProviderName

_MS: Final = timedelta(milliseconds=1)


def cost(intervals: Iterable[UsageInterval], start: datetime, end: datetime, now: datetime) -> Fraction:
    """USD within a window, clipped at its borders; open intervals end now."""
    usd = Fraction(0)
    for each in intervals:
        until = min(each.end if each.end is not None else now, end)
        ms = max(0, (until - max(each.start, start)) // _MS)
        per_hour = each.machine_usd_per_hour + each.storage_usd_per_hour + each.egress_usd_per_hour
        usd += Fraction(per_hour) * ms / 3_600_000
    return usd


def running(intervals: Iterable[UsageInterval], start: datetime, end: datetime, now: datetime) -> Fraction:
    """Hours of running within a window."""
    hours = Fraction(0)
    for each in intervals:
        if each.state is UsageState.RUNNING:
            until = min(each.end if each.end is not None else now, end)
            hours += Fraction(max(0, (until - max(each.start, start)) // _MS), 3_600_000)
    return hours


def an_interval(vm_id: str, number: int, start: datetime, end: datetime | None, **changes: Any) -> UsageInterval:
    values: dict[str, Any] = {
        "id": f"{vm_id}:{number}",
        "vm_id": vm_id,
        "number": number,
        "user_id": "ann",
        "provider": ProviderName.TENSORDOCK,
        "console": ConsoleType.SWITCH,
        "state": UsageState.RUNNING,
        "start": start,
        "end": end,
        "machine_usd_per_hour": "0.40",
        "storage_usd_per_hour": "0.05",
    }
    return UsageInterval(**{**values, **changes})


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, and so on
