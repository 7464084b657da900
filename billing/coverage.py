"""Determines which part of a window is covered by rollups, and which part is read from intervals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.amounts import DAY, midnight, month_start
from billing.windows import Granularity, Window
from models.rollups import RolledSpan, Span


class Coverage:
    """Assigns each day of a window to exactly one source."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._days = {day.start for day in window.buckets(Granularity.DAY) if _is_whole(day)}
        self._covered: set[datetime] = set()
        self._spans: dict[Span, dict[str, RolledSpan]] = {span: {} for span in Span}

    def add(self, spans: Iterable[RolledSpan]) -> None:
        """Use a span if it covers only whole days of the window that no other span covers yet."""
        for span in spans:
            covers = {day for day in _days(span) if self._window.start <= day < self._window.end}
            if covers and covers <= self._days and not covers & self._covered:
                self._covered |= covers
                self._spans[span.span][span.version] = span

    def of(self, span: Span) -> dict[str, RolledSpan]:
        """Return the spans of a kind by version."""
        return self._spans[span]

    def months(self) -> tuple[datetime, datetime]:
        """Return the bounds of the starts of months that have a day in the window."""
        return month_start(self._window.start), self._window.end

    def gaps(self) -> list[Window]:
        """Return the windows that are not covered, with neighbours joined."""
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
