"""Machines that their cloud takes or stops: notices, the saves within the notice, and another machine for the player.

Google gives 30 seconds before it takes a Spot machine, and 60 minutes before it stops a GPU machine for maintenance.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from temporalio import activity

from errors import GatewayError, MachineLostError, ProviderError
from fleet.machine_operations import address_of, find_slot
from fleet.power import Replacing
from fleet.power_state import while_on
from fleet.save_upload import record_upload
from models.database import Database, Document
from models.vms import Notice, Vm, VmStatus
from providers.base import ProviderName
from providers.registry import Registry
from streaming.addresses import Address
from streaming.saves.slots import SaveSlot
from streaming.saves.timed_upload import TimedUpload

log = logging.getLogger(__name__)

SAVE_WITHIN: Final = timedelta(seconds=25)  # of Google's 30
MAINTENANCE_AFTER: Final = timedelta(minutes=60)
_PLAYED_WITHIN: Final = timedelta(minutes=2)  # regular checks see play at least once in this time
_MOST_CONNECTIONS: Final = 500  # of one process: its other activities need room, too
_CUT: Final = "The time was too short to upload all saves. The latest ones are on the machine's disk: start it again"


class AnnouncedStops(Protocol):
    """The part of streaming.machine.StreamingMachines that interruptions need."""

    async def await_notice(self, address: Address, known: Notice) -> Notice: ...
    async def save_in_time(self, address: Address, slot: SaveSlot, until: datetime) -> TimedUpload: ...
    async def release_shutdown(self, address: Address) -> None: ...


@dataclass(frozen=True, slots=True)
class NoticeWait:
    """Wait for a notice about this VM."""

    vm_id: str


@dataclass(frozen=True, slots=True)
class NoticeSeen:
    """What the cloud has announced, and when it arrived. `notice` is None if the machine is not listened to now."""

    notice: Notice | None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """Record this notice about this VM."""

    vm_id: str
    notice: Notice
    at: datetime


@dataclass(frozen=True, slots=True)
class TimedSave:
    """Upload the VM's saves until this moment."""

    vm_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class TakenMachine:
    """Replace this VM if it was played on, or kept for planned play, when its cloud announced the stop.

    The same `key` requests the same launch.
    """

    vm_id: str
    key: str
    noticed_at: datetime


def gives_notices(vm: Vm) -> bool:
    """Return whether the cloud announces stops of this machine. All machines at Google have a GPU or are Spot."""
    return vm.provider is ProviderName.CLOUDYPAD and vm.status is VmStatus.RUNNING


class InterruptionActivities:
    """Activities of a machine's workflow around a stop that its cloud announces."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        machines: AnnouncedStops,
        replacing: Replacing,
        *,
        most_connections: int = _MOST_CONNECTIONS,
    ) -> None:
        """Set up the activities. `most_connections`: how many machines this process listens to at once."""
        self._db = db
        self._registry = registry
        self._machines = machines
        self._replacing = replacing
        self._most_connections = most_connections
        self._connections = 0

    @activity.defn(name="await_notice")
    async def await_notice(self, wait: NoticeWait) -> NoticeSeen:
        """Wait over one open connection until the cloud announces something that is not on record yet."""
        vm = await self._vm(wait.vm_id)
        if not gives_notices(vm) or self._connections >= self._most_connections:
            return NoticeSeen(None)
        self._connections += 1
        try:
            notice = await self._machines.await_notice(address_of(vm), vm.notice)
        finally:
            self._connections -= 1
        log.warning("notice from the machine's cloud", extra={"vm": vm.id, "notice": notice})
        return NoticeSeen(notice, _now())

    @activity.defn(name="record_notice")
    async def record_notice(self, seen: NoticeRecord) -> None:
        """Record an announced maintenance, or that it was called off, and tell the player. May be repeated."""
        fields: Document = {"notice": seen.notice, "announced_stop_at": None, "warning": None}
        if seen.notice is Notice.MAINTENANCE:
            fields["announced_stop_at"] = stops_at = seen.at + MAINTENANCE_AFTER
            fields["warning"] = (
                f"Google stops this machine for maintenance at about {stops_at:%H:%M} UTC. The saves are uploaded "
                "before that, and if you are playing then, another machine is set up"
            )
        await self._db.update(Vm, {"_id": seen.vm_id, "status": VmStatus.RUNNING}, {"$set": fields})

    @activity.defn(name="save_in_time")
    async def save_in_time(self, save: TimedSave) -> bool:
        """End the games and upload the saves until the given moment. Returns False if saves are on the disk alone."""
        vm = await self._vm(save.vm_id)
        slot = await find_slot(self._db, vm)
        safe = True
        if slot is not None:
            done = await while_on(self._registry, vm, self._machines.save_in_time(address_of(vm), slot, save.until))
            safe = await record_upload(self._db, vm, done.report, lacking=None if done.complete else _CUT)
        await self._db.update(Vm, {"_id": vm.id}, {"$set": {"saves_pending": not safe}})
        try:
            await self._machines.release_shutdown(address_of(vm))
        except ProviderError as error:  # it goes on by itself after the notice
            log.info("failed to release the shutdown", extra={"vm": vm.id, "why": error.message})
        return safe

    @activity.defn(name="replace_taken")
    async def replace_taken(self, taken: TakenMachine) -> None:
        """Launch another machine with the same game on the same terms, if the player was playing or is about to.

        Limits and caps apply as to any launch; the player is told if they refuse it.
        """
        vm = await self._vm(taken.vm_id)
        told = f"Google took this machine at {taken.noticed_at:%H:%M} UTC"
        fields: Document = {"warning": f"{told}. Start it again when you want to play"}
        if _was_played(vm, taken.noticed_at):
            try:
                launch_id = await self._replacing.replace(vm, taken.key)
            except GatewayError as error:
                fields = {"warning": f"{told}, and no other machine can be set up: {error.message}"}
            else:
                told += ": another machine is being set up with the same game and saves"
                fields = {"warning": told, "replacement_launch_id": launch_id}
        await self._db.update(Vm, {"_id": vm.id}, {"$set": fields})

    async def _vm(self, vm_id: str) -> Vm:
        vm = await self._db.get(Vm, vm_id)
        if vm is None:
            raise MachineLostError(f"VM {vm_id} has no record")
        return vm


def _was_played(vm: Vm, noticed_at: datetime) -> bool:
    """Return whether a player needs it: one who was playing, or whose planned time has not come yet."""
    needed = [moment for moment in (vm.last_activity_at, vm.planned_for) if moment is not None]
    return bool(needed) and noticed_at - max(needed) <= _PLAYED_WITHIN


def _now() -> datetime:
    return datetime.now(UTC)
