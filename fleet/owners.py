"""Determines which records have a running workflow. Temporal's list of workflows lags, so it never decides alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from fleet.messages import launch_workflow_id, machine_workflow_id
from models.database import Database
from models.launches import OPEN as LAUNCH_OPEN
from models.launches import Launch
from models.vms import Vm, VmStatus

_AT_ONCE: Final = 20
# Statuses that a launch's workflow handles while the launch is open.
_OF_THE_LAUNCH: Final = frozenset({VmStatus.PROVISIONING, VmStatus.DELETING})


class Workflows(Protocol):
    """The part of Temporal's client that reconciliation needs. Raises UnavailableError if it does not respond."""

    async def open_workflows(self) -> frozenset[str]:
        """Return the ids of running workflows of launches and machines, as far as the list has them."""
        ...

    async def is_open(self, workflow_id: str) -> bool:
        """Return whether this workflow is running."""
        ...

    async def start_machine(self, vm_id: str, *, abandoned: bool = False) -> bool:
        """Start a machine's workflow unless it runs; return whether it was started.

        `abandoned`: the run of the launch that was setting the machine up has ended, so the machine is to be released.
        """
        ...


async def find_launches(db: Database, vms: Sequence[Vm]) -> tuple[list[Launch], frozenset[str]]:
    """Return the launches that may handle these VMs, and the ids of unreadable ones.

    These are open launches, and those of VMs that are being rented or deleted.
    """
    still_open, strange = await db.find_readable(Launch, {"status": {"$in": sorted(LAUNCH_OPEN)}})
    ids = {vm.launch_id for vm in vms if vm.status in _OF_THE_LAUNCH} - {launch.id for launch in still_open}
    others: list[Launch] = []
    for some in _by_the_hundred(sorted(ids)):
        found, unreadable = await db.find_readable(Launch, {"_id": {"$in": some}})
        others += found
        strange += unreadable
    return [*still_open, *others], frozenset(each.id for each in strange)


def _by_the_hundred(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), 100):
        yield list(ids[start : start + 100])


class Owners:
    """The running workflows at one moment."""

    def __init__(self, workflows: Workflows, listed: frozenset[str]) -> None:
        self._workflows = workflows
        self._listed = listed
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    async def now(cls, workflows: Workflows) -> Owners:
        return cls(workflows, await workflows.open_workflows())

    async def find_unowned(self, vms: Sequence[Vm], launches: Sequence[Launch]) -> list[Vm]:
        """Return the VMs without a running workflow. `launches` are those that rented them."""
        by_id = {launch.id: launch for launch in launches}
        return [
            vm
            for vm, is_one in zip(vms, await self._without_owner(_owners(vm, by_id) for vm in vms), strict=True)
            if is_one
        ]

    async def find_interrupted(self, launches: Sequence[Launch]) -> list[Launch]:
        """Return the launches without a running workflow."""
        without = await self._without_owner([launch_workflow_id(launch.id)] for launch in launches)
        return [launch for launch, is_one in zip(launches, without, strict=True) if is_one]

    async def _without_owner(self, owners: Iterable[Sequence[str]]) -> list[bool]:
        return await asyncio.gather(*(self._has_none(ids) for ids in owners))

    async def _has_none(self, workflow_ids: Sequence[str]) -> bool:
        if not self._listed.isdisjoint(workflow_ids):
            return False
        async with self._slots:
            for workflow_id in workflow_ids:
                if await self._workflows.is_open(workflow_id):
                    return False
        return True


def _owners(vm: Vm, launches: dict[str, Launch]) -> list[str]:
    owners = [machine_workflow_id(vm.id)]
    launch = launches.get(vm.launch_id)
    # A launch that has just marked its machine as running starts the machine's workflow itself.
    if launch is not None and (vm.status in _OF_THE_LAUNCH or launch.status in LAUNCH_OPEN):
        owners.append(launch_workflow_id(launch.id))
    return owners
