"""A month for a spreadsheet: one line per day and VM, made day by day, so that no month is in memory as a whole."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from billing.adding_up import groups_of
from billing.amounts import Cell, Rounding, hours, tidy, used
from billing.reports import CURRENCY
from billing.rollups import Rollups, overlapping
from billing.windows import Granularity, Window, month_of
from errors import InvalidInputError
from models.database import Database
from models.rollups import RollupKind, Span, rollup_rows

HEADER: Final = ("day", "provider", "console", "user", "vm", "running_hours", "amount", "currency")
_MONTH: Final = re.compile(r"(2\d{3})-(0[1-9]|1[0-2])", re.ASCII)
# A spreadsheet takes a text that begins like this for a formula.
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")


@dataclass(frozen=True, slots=True)
class _Owner:
    provider: str
    console: str
    user_id: str


def checked_month(text: str | None) -> Window:
    """Of a month as in 2026-11. Raises InvalidInputError."""
    found = _MONTH.fullmatch(text or "")
    if found is None:
        raise InvalidInputError('month must be written like "2026-11"', ("month",))
    return month_of(datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC))


async def month_as_csv(db: Database, month: Window, now: datetime) -> AsyncGenerator[str, None]:
    """The amounts are those of a report of the month by day and VM, and add up to its total."""
    yield _line(HEADER)
    rounding = Rounding()
    for day in month.buckets(Granularity.DAY):
        if day.start >= now:
            return
        owners, cells = await _day(db, day, now)
        lines = [
            _line(
                (
                    f"{day.start:%Y-%m-%d}",
                    *(owners[vm_id].provider, owners[vm_id].console, owners[vm_id].user_id, vm_id),
                    f"{hours(cells[vm_id].running_ms):.6f}",
                    format(tidy(rounding.part(cells[vm_id].usd_ms)), "f"),
                    CURRENCY,
                )
            )
            for vm_id in sorted(cells)
        ]
        if lines:
            yield "".join(lines)


async def _day(db: Database, day: Window, now: datetime) -> tuple[dict[str, _Owner], dict[str, Cell]]:
    owners: dict[str, _Owner] = {}
    cells: dict[str, Cell] = defaultdict(Cell)
    published = {span.version for span in await Rollups(db).published(Span.DAY, day.start, day.end)}
    if published:
        for row in await rollup_rows(db, {"span": Span.DAY, "kind": RollupKind.VM, "start": day.start}):
            if row.version in published:
                vm_id = row.groups[RollupKind.VM]
                owners[vm_id] = _owner(row.groups)
                for _, usd_ms, running_ms in row.cells():
                    cells[vm_id].add(Cell(usd_ms, running_ms))
        return owners, cells
    end = min(day.end, now)
    for interval in await overlapping(db, day.start, end):
        cell = used(interval, day.start, end)
        if cell != Cell():
            owners[interval.vm_id] = _owner(dict(groups_of(interval)))
            cells[interval.vm_id].add(cell)
    return owners, cells


def _owner(groups: dict[RollupKind, str]) -> _Owner:
    return _Owner(groups[RollupKind.PROVIDER], groups[RollupKind.CONSOLE], groups[RollupKind.USER])


def _line(cells: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_harmless(cell) for cell in cells])
    return buffer.getvalue()


def _harmless(cell: str) -> str:
    """Text that no spreadsheet computes with."""
    return f"'{cell}" if _FORMULA.match(cell) else cell
