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

    `status` is that of the VM or the launch. `only_stored`: the machine is stopped and all its progress is uploaded. A
    start restores nothing, so the player would go on with the files that it has.
    """

    slot: SaveSlot
    vm_id: str | None
    status: str
    only_stored: bool = False


async def slots_in_use(db: Database, user_id: str) -> list[SlotUse]:
    """Return the use of a user's slots, with three queries.

    Every machine counts that has not ended, including a LOST one.
    """
    launches = await db.find(Launch, {"user_id": user_id, "status": {"$in": list(OPEN)}})
    found = [SlotUse(slot_for(launch), launch.vm_id, launch.status) for launch in launches]
    alive = await db.find(Vm, {"user_id": user_id, "status": {"$nin": list(ENDED)}})
    vms = [vm for vm in alive if vm.game_launch_id]
    played = await db.read_many(Launch, sorted({vm.game_launch_id for vm in vms if vm.game_launch_id}))
    for vm in vms:
        launch = played.get(vm.game_launch_id or "")
        if isinstance(launch, Launch):
            only_stored = vm.status is VmStatus.STOPPED and not vm.saves_pending
            found.append(SlotUse(slot_for(launch), vm.id, vm.status, only_stored))
    return found
