"""Which part of a window is added up already, and which has to be read from the intervals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.amounts import DAY, midnight, month_start
from billing.windows import Granularity, Window
from models.rollups import RolledSpan, Span


class Coverage:
    """Each day of a window is taken from one source alone."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._days = {day.start for day in window.buckets(Granularity.DAY) if _is_whole(day)}
        self._covered: set[datetime] = set()
        self._spans: dict[Span, dict[str, RolledSpan]] = {span: {} for span in Span}

    def add(self, spans: Iterable[RolledSpan]) -> None:
        """A span counts when all that it says of the window is said by nobody yet."""
        for span in spans:
            said = {day for day in _days(span) if self._window.start <= day < self._window.end}
            if said and said <= self._days and not said & self._covered:
                self._covered |= said
                self._spans[span.span][span.version] = span

    def of(self, span: Span) -> dict[str, RolledSpan]:
        """By version."""
        return self._spans[span]

    def months(self) -> tuple[datetime, datetime]:
        """Between which moments the months begin that have a day in the window."""
        return month_start(self._window.start), self._window.end

    def gaps(self) -> list[Window]:
        """What is not covered, neighbours joined."""
        gaps: list[Window] = []
        for day in self._window.buckets(Granularity.DAY):
            if day.start in self._covered:
                continue
            if gaps and gaps[-1].end == day.start:
                gaps[-1] = Window(gaps[-1].start, day.end)
            else:
                gaps.append(day)
        return gaps


def _is_whole(day: Window) -> bool:
    return day.start == midnight(day.start) and day.end - day.start == DAY


def _days(span: RolledSpan) -> set[datetime]:
    return {span.start + number * DAY for number in range((span.end - span.start) // DAY)}
