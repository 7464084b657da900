"""Sums of closed days and months, derived from the usage intervals and reproducible from them at any time."""

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
    """What a rollup's groups are, by the names of the contract's CostGroup."""

    PROVIDER = "PROVIDER"
    CONSOLE = "CONSOLE"
    USER = "USER"
    VM = "VM"


class Span(StrEnum):
    """The period that a rollup covers."""

    DAY = "DAY"
    MONTH = "MONTH"


class Unit(StrEnum):
    """The cells that a rollup is divided into."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


# From finest to coarsest.
UNITS: Final = {Span.DAY: (Unit.HOUR, Unit.DAY), Span.MONTH: (Unit.DAY, Unit.MONTH)}


def cells_name(kind: RollupKind, unit: Unit) -> str:
    """Return the name of a kind and unit in `RolledSpan.cells`."""
    return f"{kind}:{unit}"


class Rollup(Model):
    """A closed part of a report: the usage of a day or month by hours, days or as a whole, and by groups of one kind.

    `whose` is a user's id, or EVERYBODY; rollups of one user have only VMs, in the finest cells.

    The table is stored in columns, because ten thousand numbers in one document are read as fast as fifty documents.
    The columns are `cell_group` (index in `groups`), `cell` (index of the hour or day in the span), `usd_ms` (dollars
    per hour times milliseconds, as text: a Decimal128 holds 34 digits and takes thirty times longer to read) and
    `running_ms`. Cells without usage are omitted. Rollups of VMs also record user, provider and console.
    """

    id: str = Field(primary_field=True)  # "<version>:<first cell>:<kind>:<unit>:<whose>"
    span: Span
    start: datetime
    version: str  # valid only while the RolledSpan of the same start names it
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
    """A day, or a month up to `end`, that is summed up: the rollups of its version are complete."""

    id: str = Field(primary_field=True)  # "<span>:<start>"
    span: Span
    start: datetime
    end: datetime
    version: str
    former: str | None = None  # the previous version, which running reports may still read
    valid: bool = True  # false once a later write changes the period
    cells: dict[str, int] = Field(default_factory=dict)  # size of the rollups of all users, by "<kind>:<unit>"
    at: datetime

    model_config = {
        "collection": "rollup_spans",
        "indexes": lambda: [Index(RolledSpan.span, RolledSpan.start, name="spans_by_start")],
    }


class RollupState(Model):
    """State of the rollups, one document. `late` counts writes into closed days, so that no rollup misses one."""

    id: str = Field(primary_field=True)
    late: int = 0
    published: int = 0
    first_day: datetime | None = None  # there is no usage before it

    model_config = {"collection": "rollup_state"}


@dataclass(frozen=True, slots=True)
class RollupRow:
    """A rollup as reports read it: plain values, without the cost of a validated document."""

    version: str
    span: Span
    start: datetime
    whose: str
    kind: RollupKind
    unit: Unit
    names: dict[RollupKind, list[str]]  # for VMs all four kinds, for others only their own
    _columns: tuple[list[int], list[int], list[str], list[int]]

    @property
    def size(self) -> int:
        """Return the number of cells."""
        return len(self._columns[0])

    def moments(self) -> list[datetime]:
        """Return the start of each of its hours or days."""
        match self.unit:
            case Unit.HOUR:
                return [self.start + timedelta(hours=hour) for hour in range(24)]
            case Unit.DAY:
                return [self.start + timedelta(days=day) for day in range(31 if self.span is Span.MONTH else 1)]
            case Unit.MONTH:
                return [self.start]

    def cells(self) -> Iterator[tuple[int, int, Decimal, int]]:
        """Yield indexes of group and moment, dollars per hour times milliseconds, and milliseconds of running."""
        groups, cells, usd_ms, running_ms = self._columns
        # Columns of unequal length are a difference for the audit to find, not a reason to fail here.
        return zip(groups, cells, map(Decimal, usd_ms), running_ms, strict=False)


async def find_rollup_rows(db: Database, query: Document) -> list[RollupRow]:
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
