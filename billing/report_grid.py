"""The cells of a report: groups in buckets."""

from __future__ import annotations

from bisect import bisect_right
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
        self._cells: list[dict[str, Cell]] = [{} for _ in buckets]

    @property
    def size(self) -> int:
        return sum(map(len, self._cells))

    def bucket_of(self, moment: datetime) -> dict[str, Cell] | None:
        """The groups of the bucket that the moment falls into; None outside of all."""
        if not self._starts[0] <= moment < self._end:
            return None
        return self._cells[bisect_right(self._starts, moment) - 1]

    def add(self, moment: datetime, group: str, cell: Cell) -> None:
        """What lies outside of all buckets is left out, and so is nothing at all."""
        bucket = self.bucket_of(moment)
        if bucket is not None and (cell.usd_ms or cell.running_ms):
            put(bucket, group, cell)

    def usd_ms(self) -> Decimal:
        return total(cell.usd_ms for groups in self._cells for cell in groups.values())

    def buckets(self) -> Iterator[tuple[Window, list[tuple[str, Cell]]]]:
        """All of them, those without use as well; groups by their names."""
        for bucket, groups in zip(self._buckets, self._cells, strict=True):
            yield bucket, sorted(groups.items(), key=itemgetter(0))


def put(bucket: dict[str, Cell], group: str, cell: Cell) -> None:
    """The cell is the bucket's own from then on."""
    known = bucket.get(group)
    if known is None:
        bucket[group] = cell
    else:
        known.add(cell)
