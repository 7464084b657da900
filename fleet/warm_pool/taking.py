"""Gives a machine of the warm pool to a launch, as its VM.

The machine leaves the pool, its usage there ends, the VM's record and usage begin, and the launch learns of it, all in
one transaction: two launches never get the same machine, and a crash leaves it on one side or the other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from temporalio import activity

from billing.meter import Meter
from errors import ConflictError, NotFoundError
from fleet.warm_pool.holding import Holding, KnownWorkflows
from fleet.warm_pool.messages import TakenWarm, TakeWarm
from fleet.warm_pool.metering import WarmMeter
from models.database import Database
from models.launches import Launch, LaunchStatus
from models.usage import UsageState
from models.vms import Vm
from models.warm_machines import WarmMachine, WarmStatus

_NONE = TakenWarm()


class WarmTaking:
    def __init__(self, db: Database, workflows: KnownWorkflows) -> None:
        self._db = db
        self._meter = Meter(db)
        self._pool = WarmMeter(db)
        self._holding = Holding(db, workflows)

    @activity.defn(name="take_warm")
    async def take(self, asked: TakeWarm) -> TakenWarm:
        """Take the first of the machines that is still ready. A repeated call returns the one that was taken."""
        taken = await self._find_taken(asked.launch_id)
        for machine_id in asked.machine_ids:
            if taken is not None:
                break
            if await self._holding.is_held(machine_id):
                continue
            try:
                taken = await self._db.transaction(partial(self._take, asked.launch_id, machine_id))
            except ConflictError:
                taken = await self._find_taken(asked.launch_id)
        return _NONE if taken is None else TakenWarm(taken.id, taken.provider)

    @activity.defn(name="settle_take")
    async def settle(self, asked: TakeWarm) -> TakenWarm:
        """Let no further take of this launch succeed, and return what an interrupted one has taken."""
        await self._db.update(Launch, {"_id": asked.launch_id}, {"$set": {"takes_no_warm": True}})
        taken = await self._find_taken(asked.launch_id)
        return _NONE if taken is None else TakenWarm(taken.id, taken.provider)

    async def _find_taken(self, launch_id: str) -> WarmMachine | None:
        return await self._db.find_one(WarmMachine, {"launch_id": launch_id, "status": WarmStatus.TAKEN})

    async def _take(self, launch_id: str, machine_id: str) -> WarmMachine | None:
        """Return None if the machine is not ready any longer. Raises ConflictError if the launch may not take one."""
        at = datetime.now(UTC)
        ready = {"_id": machine_id, "status": WarmStatus.READY}
        gone = {"status": WarmStatus.TAKEN, "taken_at": at, "launch_id": launch_id}
        machine = await self._db.update(WarmMachine, ready, {"$set": gone})
        if machine is None:
            return None
        launch = await self._claim(launch_id, machine_id)
        vm = _vm(machine, launch, at)
        await self._pool.record_state(machine, None, at)
        await self._db.insert(vm)
        await self._meter.record_state(vm, UsageState.STOPPED, at)
        return machine

    async def _claim(self, launch_id: str, machine_id: str) -> Launch:
        """Write the machine to the launch, which serves as its lock: it takes at most one."""
        may_take = {
            "_id": launch_id,
            "status": {"$in": [LaunchStatus.QUEUED, LaunchStatus.RUNNING]},
            "takes_no_warm": {"$ne": True},
            "warm_vm_id": None,
        }
        launch = await self._db.update(Launch, may_take, {"$set": {"warm_vm_id": machine_id}})
        if launch is not None:
            return launch
        if await self._db.get(Launch, launch_id) is None:
            raise NotFoundError(f"launch {launch_id} does not exist")
        raise ConflictError(f"launch {launch_id} may not take a machine from the pool")


def _vm(machine: WarmMachine, launch: Launch, at: datetime) -> Vm:
    usd_per_hour = machine.usd_per_hour + machine.usd_per_hour_egress
    return Vm(
        id=machine.id,
        tag=machine.tag,
        provider=machine.provider,
        provider_id=machine.provider_id,
        user_id=launch.user_id,
        launch_id=launch.id,
        console=launch.console,
        game_id=launch.game_id,
        preset=machine.preset,
        vcpus=machine.vcpus,
        ram_gb=machine.ram_gb,
        storage_gb=machine.storage_gb,
        gpu_model=machine.gpu_model,
        place=machine.place,
        ip_address=machine.ip_address,
        ports=machine.ports,
        ssh_user=machine.ssh_user,
        ssh_host_key=machine.ssh_host_key,
        usd_per_hour=usd_per_hour,
        usd_per_hour_offered=usd_per_hour,
        usd_per_hour_stopped=machine.usd_per_hour_stopped,
        usd_per_hour_egress=machine.usd_per_hour_egress,
        idle_stop_minutes=launch.idle_stop_minutes,
        max_session_hours=launch.max_session_hours,
        ordered_at=machine.ordered_at,
        created_at=at,
        started_at=at,
    )
