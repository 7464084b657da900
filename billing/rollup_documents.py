"""What VMs used, into the rollups of a day or a month, and back. All rollups are made from the VMs' cells, so that no
two can tell different stories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from billing.aggregation import Owner, Vms, add
from billing.amounts import Cell
from models.rollups import EVERYBODY, UNITS, Rollup, RollupKind, RollupRow, Span, Unit

# A document holds 16 MiB, and a cell takes some 70 bytes, or 120 with the longest amount there can be.
CELLS_PER_DOCUMENT: Final = 50_000
_NOTHING: Final = Cell()
_OWNER: Final = (RollupKind.USER, RollupKind.PROVIDER, RollupKind.CONSOLE)


class Told(NamedTuple):
    """One cell of a rollup; of a VM it says whose that is."""

    whose: str
    kind: RollupKind
    unit: Unit
    group: str
    owner: Owner | None
    at: int
    cell: Cell


def documents(span: Span, start: datetime, version: str, vms: Vms) -> Iterator[Rollup]:
    """All rollups of a span: everybody's by every kind in both cuts, and each user's VMs in the finer one."""
    for told in _rollups(span, vms):
        for at in range(0, len(told), CELLS_PER_DOCUMENT):
            yield _document(span, start, f"{version}:{at}", version, told[at : at + CELLS_PER_DOCUMENT])


def vms_from(rows: Iterable[RollupRow]) -> Vms:
    """The VMs again, out of everybody's rollup by VM of one span in one cut."""
    vms: Vms = {}
    for row in rows:
        for told in _told_by(row):
            if told.owner is not None:
                add(vms, told.group, told.owner, told.at, told.cell)
    return vms


def differing(span: Span, vms: Vms, rows: Iterable[RollupRow], day: int | None) -> list[str]:
    """The groups of which the rollups of a span do not say what its VMs used; in a month on this day alone, counted
    from 0, and in its whole what its days say."""
    ours = [told for rollup in _rollups(span, vms) for told in rollup]
    theirs = [told for row in rows for told in _told_by(row)]
    if day is not None:
        days = [told for told in theirs if told.unit is Unit.DAY and told.whose == EVERYBODY]
        ours = [told for told in ours if told.unit is Unit.DAY and told.at == day]
        ours += [whole for kind in RollupKind for whole in _whole((d for d in days if d.kind is kind), Unit.MONTH)]
        theirs = [told for told in theirs if told.unit is Unit.MONTH or told.at == day]
    one, other = (Counter(map(_comparable, told)) for told in (ours, theirs))
    return sorted({f"{kind}:{group}" for _, kind, _, group, *_ in (one - other) + (other - one)})


def _rollups(span: Span, vms: Vms) -> Iterator[list[Told]]:
    finer, whole = UNITS[span]
    for kind in RollupKind:
        cells = _by_kind(vms, kind, finer)
        yield cells
        yield _whole(cells, whole)
    of_vms = sorted(_by_kind(vms, RollupKind.VM, finer), key=_user)
    for user_id, cells_of_user in groupby(of_vms, key=_user):
        yield [each._replace(whose=user_id) for each in cells_of_user]


def _document(span: Span, start: datetime, part: str, version: str, cells: Sequence[Told]) -> Rollup:
    owners = {told.group: told.owner for told in cells}
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
        cell_group=[places[told.group] for told in cells],
        cell=[told.at for told in cells],
        usd_ms=[str(told.cell.usd_ms) for told in cells],
        running_ms=[told.cell.running_ms for told in cells],
    )


def _told_by(row: RollupRow) -> Iterator[Told]:
    names, owners = row.names[row.kind], _owners(row)
    for group, at, usd_ms, running_ms in row.cells():
        yield Told(row.whose, row.kind, row.unit, names[group], owners[group], at, Cell(usd_ms, running_ms))


def _comparable(told: Told) -> tuple[object, ...]:
    return (*told[:-1], told.cell.usd_ms, told.cell.running_ms)


def _owners(row: RollupRow) -> Sequence[Owner | None]:
    if row.kind is not RollupKind.VM:
        return [None] * len(row.names[row.kind])
    return [Owner(*each) for each in zip(*(row.names[kind] for kind in _OWNER), strict=True)]


def _by_kind(vms: Vms, kind: RollupKind, unit: Unit) -> list[Told]:
    """Sorted by group and cell; without those in which nothing was used."""
    cells: dict[tuple[str, int], Cell] = defaultdict(Cell)
    owners: dict[str, Owner] = {}
    for vm_id, used in vms.items():
        group = _group(vm_id, used.owner, kind)
        if kind is RollupKind.VM:
            owners[group] = used.owner
        for at, cell in used.cells.items():
            cells[group, at].add(cell)
    return [
        Told(EVERYBODY, kind, unit, group, owners.get(group), at, cell)
        for (group, at), cell in sorted(cells.items(), key=itemgetter(0))
        if cell != _NOTHING
    ]


def _whole(told: Iterable[Told], unit: Unit) -> list[Told]:
    """Each group's cells as one."""
    sums: dict[str, Told] = {}
    for each in told:
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


def _user(told: Told) -> str:
    return told.owner.user_id if told.owner else ""
