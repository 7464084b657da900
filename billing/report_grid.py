"""The cells of a report: groups in buckets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

from billing.amounts import Cell, sum_exactly
from billing.windows import Window


class Grid:
    def __init__(self, buckets: list[Window]) -> None:
        """Set up empty buckets, which must be consecutive."""
        self._buckets = buckets
        self._starts = [bucket.start for bucket in buckets]
        self._end = buckets[-1].end
        self._cells: list[dict[str, Cell]] = [{} for _ in buckets]

    @property
    def size(self) -> int:
        return sum(map(len, self._cells))

    def bucket_of(self, moment: datetime) -> dict[str, Cell] | None:
        """Return the groups of the moment's bucket, or None outside of all buckets."""
        if not self._starts[0] <= moment < self._end:
            return None
        return self._cells[bisect_right(self._starts, moment) - 1]

    def add(self, moment: datetime, group: str, cell: Cell) -> None:
        """Add a cell. Cells outside of all buckets and empty cells are ignored."""
        bucket = self.bucket_of(moment)
        if bucket is not None and (cell.usd_ms or cell.running_ms):
            put(bucket, group, cell)

    def usd_ms(self) -> Decimal:
        return sum_exactly(cell.usd_ms for groups in self._cells for cell in groups.values())

    def buckets(self) -> Iterator[tuple[Window, list[tuple[str, Cell]]]]:
        """Yield all buckets, including empty ones, with groups sorted by name."""
        for bucket, groups in zip(self._buckets, self._cells, strict=True):
            yield bucket, sorted(groups.items(), key=itemgetter(0))


def put(bucket: dict[str, Cell], group: str, cell: Cell) -> None:
    """Add a cell to a bucket, which owns it from then on."""
    known = bucket.get(group)
    if known is None:
        bucket[group] = cell
    else:
        known.add(cell)
