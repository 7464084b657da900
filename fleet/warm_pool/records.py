"""Finds the machines of the warm pool, which the sweeper leaves to their own workflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models.database import Database
from models.warm_machines import OPEN, WarmMachine, WarmStatus
from providers.base import Machine, MachineId
from providers.tags import parse_tag

_AT_ONCE: Final = 100  # ids per database query


async def find_pooled(db: Database, machines: Sequence[Machine]) -> frozenset[MachineId]:
    """Return the machines that are in the pool. Those with records that this version cannot read count as such.

    Read it before the VMs' records: a machine that a launch takes in between then is in both.
    """
    by_id = {parts.vm_id: each for each in machines if (parts := parse_tag(each.tag)) is not None}
    pooled: set[MachineId] = set()
    ids = sorted(by_id)
    for start in range(0, len(ids), _AT_ONCE):
        found, strange = await db.find_readable(WarmMachine, {"_id": {"$in": ids[start : start + _AT_ONCE]}})
        pooled |= {by_id[each.id].id for each in strange}
        pooled |= {by_id[each.id].id for each in found if _is_in_pool(each, by_id[each.id])}
    return frozenset(pooled)


async def was_taken(db: Database, machine: Machine) -> bool:
    """Return whether a launch has taken this machine from the pool."""
    parts = parse_tag(machine.tag)
    query = {"_id": None if parts is None else parts.vm_id, "status": WarmStatus.TAKEN}
    return await db.count(WarmMachine, query) > 0


def _is_in_pool(record: WarmMachine, machine: Machine) -> bool:
    # Another machine with the same tag is a second one, which its release deletes; until then it is an orphan.
    return record.status in OPEN and record.provider_id in {None, machine.id}
