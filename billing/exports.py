"""Exports a month as CSV, one line per day and VM. It is written day by day to limit memory."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Final

from billing.aggregation import Vms, add_cell, owner_of
from billing.amounts import Cell, Rounding, tidy, to_hours, usage_between
from billing.reports import CURRENCY
from billing.rollup_documents import vms_from
from billing.rollups import Rollups, find_overlapping
from billing.windows import Granularity, Window, month_of
from errors import InvalidInputError
from models.database import Database
from models.rollups import EVERYBODY, RollupKind, Span, Unit, find_rollup_rows

HEADER: Final = ("day", "provider", "console", "user", "vm", "running_hours", "amount", "currency")
_MONTH: Final = re.compile(r"(2\d{3})-(0[1-9]|1[0-2])", re.ASCII)
# Spreadsheets treat text that begins like this as a formula.
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")


def parse_month(text: str | None) -> Window:
    """Parse a month like 2026-11. Raises InvalidInputError."""
    found = _MONTH.fullmatch(text or "")
    if found is None:
        raise InvalidInputError('month must be written like "2026-11"', ("month",))
    return month_of(datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC))


async def month_as_csv(
    db: Database, month: Window, now: datetime, *, name_vm: Callable[[str], str] = str
) -> AsyncGenerator[str, None]:
    """Yield the lines of a month. `name_vm` turns the own id of a VM into the one that is shown.

    The amounts equal those of a report of the month by day and VM, and add up to its total.
    """
    yield _line(HEADER)
    rounding = Rounding()
    for day in month.buckets(Granularity.DAY):
        if day.start >= now:
            return
        lines = [
            _line(
                (
                    f"{day.start:%Y-%m-%d}",
                    *(owner.provider, owner.console, owner.user_id, name_vm(vm_id)),
                    f"{to_hours(cells[0].running_ms):.6f}",
                    format(tidy(rounding.part(cells[0].usd_ms)), "f"),
                    CURRENCY,
                )
            )
            for vm_id, (owner, cells) in sorted((await _day(db, day, now)).items())
        ]
        if lines:
            yield "".join(lines)


async def _day(db: Database, day: Window, now: datetime) -> Vms:
    """Return one cell for each VM."""
    published = {span.version for span in await Rollups(db).find_published(Span.DAY, day.start, day.end)}
    if published:
        query = {"whose": EVERYBODY, "span": Span.DAY, "kind": RollupKind.VM, "unit": Unit.DAY, "start": day.start}
        return vms_from(row for row in await find_rollup_rows(db, query) if row.version in published)
    vms: Vms = {}
    end = min(day.end, now)
    for interval in await find_overlapping(db, day.start, end):
        cell = usage_between(interval, day.start, end)
        if cell != Cell():
            add_cell(vms, interval.vm_id, owner_of(interval), 0, cell)
    return vms


def _line(cells: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_escape(cell) for cell in cells])
    return buffer.getvalue()


def _escape(cell: str) -> str:
    """Escape text that spreadsheets would treat as a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell
