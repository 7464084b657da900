"""Closed days and months, added up once. Derived from the usage intervals, and made again from them at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import Field, Index, Model

from errors import UnreadableRecordError
from models.database import Database, Document

STATE_ID: Final = "rollups"
EVERYBODY: Final = ""  # no user's id is empty


class RollupKind(StrEnum):
    """What the groups of a rollup are. The names are those of the contract's CostGroup."""

    PROVIDER = "PROVIDER"
    CONSOLE = "CONSOLE"
    USER = "USER"
    VM = "VM"


class Span(StrEnum):
    """What a rollup covers."""

    DAY = "DAY"
    MONTH = "MONTH"


class Unit(StrEnum):
    """What a rollup is cut into."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


# The finest comes first.
UNITS: Final = {Span.DAY: (Unit.HOUR, Unit.DAY), Span.MONTH: (Unit.DAY, Unit.MONTH)}


def cells_name(kind: RollupKind, unit: Unit) -> str:
    return f"{kind}:{unit}"


class Rollup(Model):
    """A finished piece of a report: what was used on a day or in a month, cut into hours, days, or not at all, by the
    groups of one kind. `whose` is a user's id, or EVERYBODY; of one user there are only VMs, in the finest cut.

    A table in columns, because ten thousand numbers in one document are read in the time of fifty documents. The cells
    are `cell_group` (its place in `groups`), `cell` (the how manieth hour or day of the span), `usd_ms` (dollars per
    hour times milliseconds, as text: a Decimal128 holds 34 digits and takes thirty times longer to read) and
    `running_ms`. Cells without use are left out. Of VMs it is noted whose they are, where and for what.
    """

    id: str = Field(primary_field=True)  # "<version>:<first cell>:<kind>:<unit>:<whose>"
    span: Span
    start: datetime
    version: str  # counts only while the RolledSpan of the same start names it
    whose: str
    kind: RollupKind
    unit: Unit
    groups: list[str] = Field(default_factory=list)
    users: list[str] = Field(default_factory=list)
    providers: list[str] = Field(default_factory=list)
    consoles: list[str] = Field(default_factory=list)
    cell_group: list[int] = Field(default_factory=list)
    cell: list[int] = Field(default_factory=list)
    usd_ms: list[str] = Field(default_factory=list)
    running_ms: list[int] = Field(default_factory=list)

    model_config = {
        "collection": "rollup_tables",
        "indexes": lambda: [
            Index(
                *(Rollup.whose, Rollup.span, Rollup.kind, Rollup.unit, Rollup.start),
                name="rollups_of_anybody",
            ),
            Index(Rollup.start, Rollup.span, name="rollups_of_span"),
        ],
    }


class RolledSpan(Model):
    """This day, or this month up to `end`, is added up: the rollups of its version say all of it."""

    id: str = Field(primary_field=True)  # "<span>:<start>"
    span: Span
    start: datetime
    end: datetime
    version: str
    former: str | None = None  # the version before it, which reports that are under way may still read
    valid: bool = True  # no more when something was written into it afterwards
    cells: dict[str, int] = Field(default_factory=dict)  # how many everybody's rollups have, by "<kind>:<unit>"
    at: datetime

    model_config = {
        "collection": "rollup_spans",
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
    """A rollup as reports read it: without the care that a document takes."""

    version: str
    span: Span
    start: datetime
    whose: str
    kind: RollupKind
    unit: Unit
    names: dict[RollupKind, list[str]]  # of VMs all four, of the others their own
    _columns: tuple[list[int], list[int], list[str], list[int]]

    @property
    def size(self) -> int:
        """How many cells it has."""
        return len(self._columns[0])

    def moments(self) -> list[datetime]:
        """When each of its hours or days begins."""
        match self.unit:
            case Unit.HOUR:
                return [self.start + timedelta(hours=hour) for hour in range(24)]
            case Unit.DAY:
                return [self.start + timedelta(days=day) for day in range(31 if self.span is Span.MONTH else 1)]
            case Unit.MONTH:
                return [self.start]

    def cells(self) -> Iterator[tuple[int, int, Decimal, int]]:
        """The place of its group and of its moment, dollars per hour times milliseconds, milliseconds of running."""
        groups, cells, usd_ms, running_ms = self._columns
        # Columns that do not belong together are a difference to be found, not a reason to stop looking.
        return zip(groups, cells, map(Decimal, usd_ms), running_ms, strict=False)


async def rollup_rows(db: Database, query: Document) -> list[RollupRow]:
    """Return the rollups that match. Raises UnreadableRecordError when this version cannot read one of them."""
    try:
        return [_row(raw) for raw in await db.rows(Rollup, query)]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UnreadableRecordError("this version cannot read a rollup") from error


def _row(raw: Document) -> RollupRow:
    kind = RollupKind(raw["kind"])
    names = {kind: raw["groups"]}
    if kind is RollupKind.VM:
        names |= {
            RollupKind.USER: raw["users"],
            RollupKind.PROVIDER: raw["providers"],
            RollupKind.CONSOLE: raw["consoles"],
        }
    # The driver's own time zone compares ten times slower.
    start = raw["start"].replace(tzinfo=UTC)
    columns = (raw["cell_group"], raw["cell"], raw["usd_ms"], raw["running_ms"])
    return RollupRow(raw["version"], Span(raw["span"]), start, raw["whose"], kind, Unit(raw["unit"]), names, columns)
