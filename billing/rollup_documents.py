"""Converts VMs' usage to rollups of a day or month, and back.

All rollups are built from the VMs' cells, so that they cannot contradict each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from billing.aggregation import Owner, Vms, add_cell
from billing.amounts import Cell
from models.rollups import EVERYBODY, UNITS, Rollup, RollupKind, RollupRow, Span, Unit

# A document holds 16 MiB, and a cell takes about 70 bytes, or 120 with the longest possible amount.
CELLS_PER_DOCUMENT: Final = 50_000
_NOTHING: Final = Cell()
_OWNER: Final = (RollupKind.USER, RollupKind.PROVIDER, RollupKind.CONSOLE)


class RollupCell(NamedTuple):
    """One cell of a rollup. `owner` is set for VMs."""

    whose: str
    kind: RollupKind
    unit: Unit
    group: str
    owner: Owner | None
    at: int
    cell: Cell


def build_documents(span: Span, start: datetime, version: str, vms: Vms) -> Iterator[Rollup]:
    """Build all rollups of a span: for all users by every kind in both units, and each user's VMs in the finer one."""
    for found in _rollups(span, vms):
        for at in range(0, len(found), CELLS_PER_DOCUMENT):
            yield _document(span, start, f"{version}:{at}", version, found[at : at + CELLS_PER_DOCUMENT])


def vms_from(rows: Iterable[RollupRow]) -> Vms:
    """Return the VMs' usage from the rollups by VM of one span in one unit, for all users."""
    vms: Vms = {}
    for row in rows:
        for found in _cells_of(row):
            if found.owner is not None:
                add_cell(vms, found.group, found.owner, found.at, found.cell)
    return vms


def find_differences(span: Span, vms: Vms, rows: Iterable[RollupRow], day: int | None) -> list[str]:
    """Return the groups with rollups that differ from their VMs' usage.

    For a month, only this day (counted from 0) is compared, and the month's total with the sum of its days.
    """
    ours = [found for rollup in _rollups(span, vms) for found in rollup]
    theirs = [found for row in rows for found in _cells_of(row)]
    if day is not None:
        days = [found for found in theirs if found.unit is Unit.DAY and found.whose == EVERYBODY]
        ours = [found for found in ours if found.unit is Unit.DAY and found.at == day]
        ours += [whole for kind in RollupKind for whole in _whole((d for d in days if d.kind is kind), Unit.MONTH)]
        theirs = [found for found in theirs if found.unit is Unit.MONTH or found.at == day]
    one, other = (Counter(map(_comparable, found)) for found in (ours, theirs))
    return sorted({f"{kind}:{group}" for _, kind, _, group, *_ in (one - other) + (other - one)})


def _rollups(span: Span, vms: Vms) -> Iterator[list[RollupCell]]:
    finer, whole = UNITS[span]
    for kind in RollupKind:
        cells = _by_kind(vms, kind, finer)
        yield cells
        yield _whole(cells, whole)
    of_vms = sorted(_by_kind(vms, RollupKind.VM, finer), key=_user)
    for user_id, cells_of_user in groupby(of_vms, key=_user):
        yield [each._replace(whose=user_id) for each in cells_of_user]


def _document(span: Span, start: datetime, part: str, version: str, cells: Sequence[RollupCell]) -> Rollup:
    owners = {found.group: found.owner for found in cells}
    places = {group: place for place, group in enumerate(owners)}
    some = cells[0]
    return Rollup(
        id=f"{part}:{some.kind}:{some.unit}:{some.whose}",
        span=span,
        start=start,
        version=version,
        whose=some.whose,
        kind=some.kind,
        unit=some.unit,
        groups=list(owners),
        users=[owner.user_id for owner in owners.values() if owner],
        providers=[owner.provider for owner in owners.values() if owner],
        consoles=[owner.console for owner in owners.values() if owner],
        cell_group=[places[found.group] for found in cells],
        cell=[found.at for found in cells],
        usd_ms=[str(found.cell.usd_ms) for found in cells],
        running_ms=[found.cell.running_ms for found in cells],
    )


def _cells_of(row: RollupRow) -> Iterator[RollupCell]:
    names, owners = row.names[row.kind], _owners(row)
    for group, at, usd_ms, running_ms in row.cells():
        yield RollupCell(row.whose, row.kind, row.unit, names[group], owners[group], at, Cell(usd_ms, running_ms))


def _comparable(found: RollupCell) -> tuple[object, ...]:
    return (*found[:-1], found.cell.usd_ms, found.cell.running_ms)


def _owners(row: RollupRow) -> Sequence[Owner | None]:
    if row.kind is not RollupKind.VM:
        return [None] * len(row.names[row.kind])
    return [Owner(*each) for each in zip(*(row.names[kind] for kind in _OWNER), strict=True)]


def _by_kind(vms: Vms, kind: RollupKind, unit: Unit) -> list[RollupCell]:
    """Return cells sorted by group and time, without empty ones."""
    cells: dict[tuple[str, int], Cell] = defaultdict(Cell)
    owners: dict[str, Owner] = {}
    for vm_id, used in vms.items():
        group = _group(vm_id, used.owner, kind)
        if kind is RollupKind.VM:
            owners[group] = used.owner
        for at, cell in used.cells.items():
            cells[group, at].add(cell)
    return [
        RollupCell(EVERYBODY, kind, unit, group, owners.get(group), at, cell)
        for (group, at), cell in sorted(cells.items(), key=itemgetter(0))
        if cell != _NOTHING
    ]


def _whole(found: Iterable[RollupCell], unit: Unit) -> list[RollupCell]:
    """Sum each group's cells."""
    sums: dict[str, RollupCell] = {}
    for each in found:
        if each.group not in sums:
            sums[each.group] = each._replace(unit=unit, at=0, cell=Cell())
        sums[each.group].cell.add(each.cell)
    return list(sums.values())


def _group(vm_id: str, owner: Owner, kind: RollupKind) -> str:
    match kind:
        case RollupKind.PROVIDER:
            return owner.provider
        case RollupKind.CONSOLE:
            return owner.console
        case RollupKind.USER:
            return owner.user_id
        case RollupKind.VM:
            return vm_id


def _user(found: RollupCell) -> str:
    return found.owner.user_id if found.owner else ""
