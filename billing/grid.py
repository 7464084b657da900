"""The cells of a report: groups in buckets."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

from billing.amounts import Cell, total
from billing.windows import Window


class Grid:
    def __init__(self, buckets: list[Window]) -> None:
        """`buckets` follow one another without gap."""
        self._buckets = buckets
        self._starts = [bucket.start for bucket in buckets]
        self._end = buckets[-1].end
        self._cells: dict[int, dict[str, Cell]] = {}

    @property
    def size(self) -> int:
        return sum(map(len, self._cells.values()))

    def add(self, moment: datetime, group: str, cell: Cell) -> None:
        """To the bucket that the moment falls into. What lies outside of all is left out, and so is nothing at all."""
        if not self._starts[0] <= moment < self._end or not (cell.usd_ms or cell.running_ms):
            return
        groups = self._cells.setdefault(bisect_right(self._starts, moment) - 1, defaultdict(Cell))
        groups[group].add(cell)

    def usd_ms(self) -> Decimal:
        return total(cell.usd_ms for groups in self._cells.values() for cell in groups.values())

    def buckets(self) -> Iterator[tuple[Window, list[tuple[str, Cell]]]]:
        """All of them, those without use as well; groups by their names."""
        for index, bucket in enumerate(self._buckets):
            yield bucket, sorted(self._cells.get(index, {}).items(), key=itemgetter(0))
