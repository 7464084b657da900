"""Sums intervals in memory: the usage of each VM in each hour of a day, and on each day of a month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from billing.amounts import DAY, Cell, midnight, split_by_hour
from models.rollups import RollupKind
from models.usage import WARM, WARM_PREFIX, WARM_USER, Metered


class Owner(NamedTuple):
    """The user, provider and console of a VM."""

    user_id: str
    provider: str
    console: str


class Used(NamedTuple):
    """Usage of one VM by hour of the day or day of the month, counted from 0."""

    owner: Owner
    cells: dict[int, Cell]


Vms = dict[str, Used]


def group_of(interval: Metered, kind: RollupKind) -> str:
    """Return the group of an interval in reports of this kind."""
    match kind:
        case RollupKind.PROVIDER:
            return str(interval.provider)
        case RollupKind.CONSOLE:
            return str(interval.console)
        case RollupKind.USER:
            return interval.user_id
        case RollupKind.VM:
            return interval.vm_id


def is_warm(group: str, kind: RollupKind) -> bool:
    """Return whether a group in reports of this kind is usage of the warm pool."""
    match kind:
        case RollupKind.PROVIDER | RollupKind.VM:
            return group.startswith(WARM_PREFIX)
        case RollupKind.CONSOLE:
            return group == WARM
        case RollupKind.USER:
            return group == WARM_USER


def owner_of(interval: Metered) -> Owner:
    """Return the user, provider and console of an interval."""
    return Owner(interval.user_id, str(interval.provider), str(interval.console))


def split_by_day(intervals: Iterable[Metered], start: datetime, end: datetime) -> dict[datetime, Vms]:
    """Return the usage on each day of a window of whole days, by hour. Days without usage are included, empty."""
    days: dict[datetime, Vms] = {}
    day = start
    while day < end:
        days[day] = {}
        day += DAY
    for interval in intervals:
        owner = owner_of(interval)
        for hour, cell in split_by_hour(interval, start, end):
            add_cell(days[midnight(hour)], interval.vm_id, owner, hour.hour, cell)
    return days


def merge_day(into: Vms, day: datetime, vms: Mapping[str, Used]) -> None:
    """Add a day's hours as one cell of its month."""
    for vm_id, used in vms.items():
        for cell in used.cells.values():
            add_cell(into, vm_id, used.owner, day.day - 1, cell)


def add_cell(vms: Vms, vm_id: str, owner: Owner, at: int, cell: Cell) -> None:
    """Add a cell to a VM's usage."""
    used = vms.get(vm_id)
    if used is None:
        used = vms[vm_id] = Used(owner, defaultdict(Cell))
    used.cells[at].add(cell)
