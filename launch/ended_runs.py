"""Settles launches whose workflow ended without them: terminated by an operator, failed, or lost with a namespace.

Their machines are released first, by the machines' own workflows. A launch ends when nothing of it remains.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Protocol

from errors import InvalidStateError, UnavailableError, UnreadableRecordError
from fleet.messages import Command, CommandRequest, CommandResult
from fleet.owners import Owners, Workflows
from launch.progress import ProgressUpdate, write
from models.audit import service_entry, write_entry
from models.database import Database
from models.launches import OPEN, Launch, LaunchStatus
from models.vms import ENDED as VM_ENDED
from models.vms import Vm, VmStatus
from providers.tags import belongs_to

log = logging.getLogger(__name__)

END_LAUNCH: Final = "endLaunch"
RELEASE_MACHINE: Final = "releaseMachine"
_WHY: Final = "its launch was interrupted"
_UNFINISHED: Final = frozenset({VmStatus.PROVISIONING, VmStatus.DELETING})


class Machines(Workflows, Protocol):
    """The part of Temporal's client that is needed: workflows, and commands for those of machines."""

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult: ...

    async def cancel_launch(self, launch_id: str) -> None: ...


class InterruptedLaunches:
    def __init__(self, db: Database, workflows: Machines, deployment: str = "main") -> None:
        """Set up settlement.

        Machines of other deployments than `deployment` are left alone, because the database may be a copy of theirs.
        """
        self._db = db
        self._workflows = workflows
        self._deployment = deployment

    async def settle(self) -> int:
        """Release the machines of launches without a workflow, and end launches that have none left.

        Returns how many launches were ended. Raises UnavailableError if Temporal does not respond.
        """
        begun = {"status": {"$in": sorted(OPEN)}, "last_sequence": {"$gt": 0}}
        launches, _ = await self._db.find_readable(Launch, begun)
        if not launches:
            return 0
        owners = await Owners.now(self._workflows)
        interrupted = await owners.find_interrupted(launches)
        await self._cancel_again(launch for launch in launches if launch not in interrupted)
        return sum([await self._settle(launch.id) for launch in interrupted])

    async def _cancel_again(self, launches: Iterable[Launch]) -> None:
        """Repeat cancellations that Temporal may have missed. Repeating is harmless."""
        for launch in launches:
            if launch.status is LaunchStatus.CANCELLING:
                with contextlib.suppress(InvalidStateError):
                    await self._workflows.cancel_launch(launch.id)

    async def _settle(self, launch_id: str) -> bool:
        """End the launch if possible; return whether it was ended. Unreadable records are left alone."""
        try:
            launch = await self._db.get(Launch, launch_id)  # read again: it may have ended since the list was read
            if launch is None or launch.status not in OPEN:
                return False
            vms = await self._db.find(Vm, {"launch_id": launch.id})
        except UnreadableRecordError:
            return False
        left = [vm for vm in vms if belongs_to(vm.tag, self._deployment) and _is_left(vm, launch)]
        for vm in left:
            await self._give_back(vm)
        if not left:
            await self._end(launch, lost=any(vm.status is VmStatus.LOST for vm in vms))
        return not left

    async def _give_back(self, vm: Vm) -> None:
        started = await self._workflows.start_machine(vm.id, abandoned=vm.status in _UNFINISHED)
        if started:
            log.warning("releasing the machine of an interrupted launch", extra={"vm": vm.id, "status": vm.status})
            await write_entry(self._db, service_entry("sweeper", RELEASE_MACHINE, vm.id, f"{vm.status}, {_WHY}"))
        # A workflow that was already running may assume another status: the database may be an older backup.
        if not started or vm.status not in _UNFINISHED:
            try:
                await self._workflows.ask_machine(vm.id, CommandRequest(Command.DELETE, _WHY))
            except (InvalidStateError, UnavailableError) as error:
                log.warning("failed to send command to machine", extra={"vm": vm.id, "why": error.message})

    async def _end(self, launch: Launch, *, lost: bool) -> None:
        cancelled = launch.status is LaunchStatus.CANCELLING and not lost
        message = "Cancelled. Nothing remains of it" if cancelled else "It was interrupted; its machine is released"
        note = ProgressUpdate(
            launch_id=launch.id,
            sequence=launch.last_sequence + 1,
            at=datetime.now(UTC),
            status=LaunchStatus.CANCELLED if cancelled else LaunchStatus.FAILED,
            progress=launch.progress,
            message=message,
            failure=None if cancelled else message,
        )
        await write(self._db, note)
        log.warning("ended interrupted launch", extra={"launch": launch.id, "status": note.status})
        await write_entry(self._db, service_entry("sweeper", END_LAUNCH, launch.id, f"{launch.status}, no workflow"))


def _is_left(vm: Vm, launch: Launch) -> bool:
    """Return whether the launch's machine is still to be released. A machine in use by another launch is not."""
    if vm.status in VM_ENDED or vm.status is VmStatus.LOST:
        return False
    return vm.status in _UNFINISHED or vm.game_launch_id in {None, launch.id}
