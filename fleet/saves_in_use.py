"""Finds the save slots that a user's machines hold now, or will soon."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.machine_operations import slot_for
from models.database import Database
from models.launches import OPEN, Launch
from models.vms import ENDED, Vm, VmStatus
from streaming.saves.slots import SaveSlot


@dataclass(frozen=True, slots=True)
class SlotUse:
    """A machine that plays a slot or may have progress of it that is not uploaded, or a launch that will.

    `status` is that of the VM or the launch.
    """

    slot: SaveSlot
    vm_id: str | None
    status: str


async def slots_in_use(db: Database, user_id: str) -> list[SlotUse]:
    """Return the use of a user's slots, with three queries.

    A stopped machine writes nothing; any other one may, including a LOST one.
    """
    launches = await db.find(Launch, {"user_id": user_id, "status": {"$in": list(OPEN)}})
    found = [SlotUse(slot_for(launch), launch.vm_id, launch.status) for launch in launches]
    alive = await db.find(Vm, {"user_id": user_id, "status": {"$nin": list(ENDED)}})
    vms = [vm for vm in alive if vm.game_launch_id and (vm.status is not VmStatus.STOPPED or vm.saves_pending)]
    played = await db.read_many(Launch, sorted({vm.game_launch_id for vm in vms if vm.game_launch_id}))
    for vm in vms:
        launch = played.get(vm.game_launch_id or "")
        if isinstance(launch, Launch):
            found.append(SlotUse(slot_for(launch), vm.id, vm.status))
    return found
