"""Intervals into rollups, in memory: what each group used in each hour of a day, and on each day of a month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from billing.amounts import DAY, Cell, by_hour, midnight
from models.rollups import Rollup, RollupKind, Span
from models.usage import Metered

Group = tuple[RollupKind, str]


@dataclass(slots=True)
class Sums:
    """One group's cells, and of a VM whose it is, where and for what."""

    owner: tuple[str, str, str] | None
    cells: dict[int, Cell] = field(default_factory=lambda: defaultdict(Cell))


Groups = dict[Group, Sums]


def groups_of(interval: Metered) -> tuple[Group, ...]:
    return (
        (RollupKind.PROVIDER, str(interval.provider)),
        (RollupKind.CONSOLE, str(interval.console)),
        (RollupKind.USER, interval.user_id),
        (RollupKind.VM, interval.vm_id),
    )


def by_day(intervals: Iterable[Metered], start: datetime, end: datetime) -> dict[datetime, Groups]:
    """What was used on each day of a window of whole days, in hours. A day without use is in it, empty."""
    days: dict[datetime, Groups] = {}
    day = start
    while day < end:
        days[day] = {}
        day += DAY
    for interval in intervals:
        groups, owner = groups_of(interval), (interval.user_id, str(interval.provider), str(interval.console))
        for hour, cell in by_hour(interval, start, end):
            _add(days[midnight(hour)], groups, owner, hour.hour, cell)
    return days


def merged(into: Groups, day: datetime, groups: Mapping[Group, Sums]) -> None:
    """Add a day's hours as one cell of its month."""
    for group, sums in groups.items():
        monthly = into.setdefault(group, Sums(sums.owner))
        for cell in sums.cells.values():
            monthly.cells[day.day].add(cell)


def documents(span: Span, start: datetime, version: str, groups: Mapping[Group, Sums]) -> list[Rollup]:
    return [_document(span, start, version, group, sums) for group, sums in groups.items() if _filled(sums)]


def groups_from(documents: Iterable[Rollup]) -> Groups:
    """The reverse of `documents`."""
    return {(each.kind, each.group): _sums(each) for each in documents}


def only_day(groups: Mapping[Group, Sums], day: datetime) -> Groups:
    """Of a month's groups the cells of one day."""
    return {
        group: Sums(sums.owner, {day.day: sums.cells[day.day]})
        for group, sums in groups.items()
        if day.day in sums.cells
    }


def cells_by_name(groups: Mapping[Group, Sums]) -> dict[str, tuple[object, dict[int, Cell]]]:
    """What can be compared: whose it is, and the cells in which something was used."""
    used_by = {f"{kind}:{name}": (sums.owner, _filled(sums)) for (kind, name), sums in groups.items()}
    return {name: told for name, told in used_by.items() if told[1]}


def counts(documents: Iterable[Rollup]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for document in documents:
        counted[document.kind.value] += 1
    return dict(counted)


def _add(groups: Groups, names: tuple[Group, ...], owner: tuple[str, str, str], hour: int, cell: Cell) -> None:
    for name in names:
        sums = groups.get(name)
        if sums is None:
            sums = groups[name] = Sums(owner if name[0] is RollupKind.VM else None)
        sums.cells[hour].add(cell)


_NOTHING: Final = Cell()


def _filled(sums: Sums) -> dict[int, Cell]:
    return {at: cell for at, cell in sorted(sums.cells.items()) if cell != _NOTHING}


def _document(span: Span, start: datetime, version: str, group: Group, sums: Sums) -> Rollup:
    kind, name = group
    cells = _filled(sums)
    user_id, provider, console = sums.owner or (None, None, None)
    return Rollup(
        id=f"{version}:{kind}:{name}",
        span=span,
        start=start,
        version=version,
        kind=kind,
        group=name,
        user_id=user_id,
        provider=provider,
        console=console,
        cells=list(cells),
        usd_ms=[cell.usd_ms for cell in cells.values()],
        running_ms=[cell.running_ms for cell in cells.values()],
    )


def _sums(document: Rollup) -> Sums:
    owner = None
    if document.user_id is not None and document.provider is not None and document.console is not None:
        owner = (document.user_id, document.provider, document.console)
    sums = Sums(owner)
    # Lists that do not belong together are a difference to be found, not a reason to stop looking.
    for at, usd_ms, running_ms in zip(document.cells, document.usd_ms, document.running_ms, strict=False):
        sums.cells[at].add(Cell(usd_ms, running_ms))
    return sums
