"""Closed days and months, added up once. Derived from the usage intervals, and made again from them at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import Field, Index, Model

from models.database import Database, Document

STATE_ID: Final = "rollups"


class RollupKind(StrEnum):
    """What the groups of a rollup are. The names are those of the contract's CostGroup."""

    PROVIDER = "PROVIDER"
    CONSOLE = "CONSOLE"
    USER = "USER"
    VM = "VM"


class Span(StrEnum):
    """What a rollup covers, and so what its cells are."""

    DAY = "DAY"  # cells are hours, 0 to 23
    MONTH = "MONTH"  # cells are days, 1 to 31


class Rollup(Model):
    """What one group used on one day or in one month, cell by cell; cells without use are left out.

    The three lists belong together: cells, their dollars per hour times milliseconds, their milliseconds of running.
    Of VMs alone it is noted whose they are, where and for what.
    """

    id: str = Field(primary_field=True)  # "<version>:<kind>:<group>"
    span: Span
    start: datetime
    version: str  # counts only while the RolledSpan of the same start names it
    kind: RollupKind
    group: str
    user_id: str | None = None
    provider: str | None = None
    console: str | None = None
    cells: list[int] = Field(default_factory=list)
    usd_ms: list[Decimal] = Field(default_factory=list)
    running_ms: list[int] = Field(default_factory=list)

    model_config = {
        "collection": "rollups",
        "indexes": lambda: [
            Index(Rollup.span, Rollup.kind, Rollup.start, name="rollups_by_kind"),
            Index(Rollup.user_id, Rollup.span, Rollup.start, name="rollups_of_user"),
            Index(Rollup.start, Rollup.span, name="rollups_by_start"),
        ],
    }


class RolledSpan(Model):
    """This day, or this month up to `end`, is added up: the rollups of its version say all of it."""

    id: str = Field(primary_field=True)  # "<span>:<start>"
    span: Span
    start: datetime
    end: datetime
    version: str
    valid: bool = True  # no more when something was written into it afterwards
    groups: dict[str, int] = Field(default_factory=dict)  # how many rollups there are of each kind
    at: datetime

    model_config = {
        "collection": "rolled_spans",
        "indexes": lambda: [Index(RolledSpan.span, RolledSpan.start, name="spans_by_start")],
    }


class RollupState(Model):
    """One document. `late` counts the writes into days that were over, so that no rollup misses one."""

    id: str = Field(primary_field=True)
    late: int = 0
    published: int = 0
    first_day: datetime | None = None  # nothing was used before it

    model_config = {"collection": "rollup_state"}


@dataclass(frozen=True, slots=True)
class RollupRow:
    """A rollup as reports read it, by the thousand: without the care that a document takes."""

    version: str
    span: Span
    start: datetime
    groups: dict[RollupKind, str]  # of a VM's all four, of the others their own
    _cells: tuple[list[int], list[Decimal], list[int]]

    def cells(self) -> Iterator[tuple[datetime, Decimal, int]]:
        """When each hour or day begins, its dollars per hour times milliseconds, and its milliseconds of running."""
        first, step = (0, timedelta(hours=1)) if self.span is Span.DAY else (1, timedelta(days=1))
        for cell, usd_ms, running_ms in zip(*self._cells, strict=True):
            yield self.start + (cell - first) * step, usd_ms, running_ms


async def rollup_rows(db: Database, query: Document) -> list[RollupRow]:
    return [_row(raw) for raw in await db.aggregate(Rollup, [{"$match": query}])]


def _row(raw: Document) -> RollupRow:
    kind = RollupKind(raw["kind"])
    groups = {kind: raw["group"]}
    if kind is RollupKind.VM:
        groups |= {
            RollupKind.USER: raw["user_id"],
            RollupKind.PROVIDER: raw["provider"],
            RollupKind.CONSOLE: raw["console"],
        }
    cells = (raw["cells"], [each.to_decimal() for each in raw["usd_ms"]], raw["running_ms"])
    return RollupRow(raw["version"], Span(raw["span"]), raw["start"], groups, cells)
