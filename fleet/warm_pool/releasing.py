"""Deletes machines that leave the warm pool, until the cloud confirms that nothing of them remains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio import activity

from errors import ProviderError
from fleet.warm_pool.holding import Holding, KnownWorkflows
from fleet.warm_pool.messages import WarmMachineInput
from fleet.warm_pool.metering import WarmMeter
from models.database import Database, Document
from models.usage import UsageState
from models.warm_machines import WarmMachine, WarmStatus
from providers.base import Machine, MachineId, MachineState, Provider
from providers.registry import Registry

log = logging.getLogger(__name__)


class WarmReleasing:
    """The activity that ends a machine of the pool."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        workflows: KnownWorkflows,
        forget: Callable[[str], Awaitable[None]] | None = None,
        *,
        settle_s: float,
        poll_s: float = 2.0,
    ) -> None:
        """Set up the activity. The other arguments are those of fleet.release.ReleaseActivities."""
        self._db = db
        self._registry = registry
        self._forget = forget
        self._meter = WarmMeter(db)
        self._holding = Holding(db, workflows)
        self._settle = timedelta(seconds=settle_s)
        self._poll_s = poll_s

    @activity.defn(name="release_warm")
    async def release(self, wanted: WarmMachineInput) -> None:
        """Delete everything with the machine's tag. Do nothing if it is READY, TAKEN or RELEASED.

        A machine that is still PREPARING failed to become ready. May be repeated.
        """
        machine = await self._decide(wanted.machine_id)
        if machine is None:
            return
        provider = self._registry.get(machine.provider)
        seen: set[MachineId] = {MachineId(machine.provider_id)} if machine.provider_id else set()
        while True:
            if await self._delete_once(provider, machine, seen):
                break
            await asyncio.sleep(self._poll_s)
        await self._forget_tag(machine)
        await self._close(machine.id, rented=bool(seen))

    async def _decide(self, machine_id: str) -> WarmMachine | None:
        """Return the machine if it is to be deleted. From here on no order for it is permitted."""
        if await self._holding.is_held(machine_id):
            return None
        never_ordered: Document = {
            "_id": machine_id,
            "status": {"$in": [WarmStatus.PREPARING, WarmStatus.RELEASING]},
            "provider_id": None,
            "ordered_at": None,
        }
        ended = {"status": WarmStatus.RELEASED, "released_at": _now()}
        if await self._db.update(WarmMachine, never_ordered, {"$set": ended}) is not None:
            return None
        preparing = {"_id": machine_id, "status": WarmStatus.PREPARING}
        failed = {"status": WarmStatus.RELEASING, "detail": "it could not be made ready"}
        await self._db.update(WarmMachine, preparing, {"$set": failed})
        return await self._db.find_one(WarmMachine, {"_id": machine_id, "status": WarmStatus.RELEASING})

    async def _delete_once(self, provider: Provider, machine: WarmMachine, seen: set[MachineId]) -> bool:
        """Delete everything with the tag and read the list again, once. `seen` collects what had the tag."""
        listed = {each.id for each in await provider.machines() if each.tag == machine.tag}
        for machine_id in listed - seen:
            await self._record_found(machine, machine_id)
        seen |= listed
        left = False
        for machine_id in sorted(seen):
            try:
                if (there := await provider.machine(machine_id)) is not None:
                    left = True
                    await self._request_deletion(provider, machine, there)
            except ProviderError as error:
                left = True
                log.warning("machine deletion failed, retrying", extra={"warm": machine.id, "why": error.message})
        if left or listed:
            return False
        # An order without a response may still appear in the list.
        settled = machine.ordered_at is None or _now() - machine.ordered_at > self._settle
        return bool(seen) or machine.order_refused or settled

    async def _request_deletion(self, provider: Provider, machine: WarmMachine, there: Machine) -> None:
        """Set `going_since` before the call (its response may be lost) and again when it succeeds."""
        if asked := machine.going_since is None or there.state is not MachineState.DELETING:
            await self._set_going_since(machine)
        await provider.release(there.id)
        if asked:
            await self._set_going_since(machine)

    async def _set_going_since(self, machine: WarmMachine) -> None:
        machine.going_since = _now()
        await self._db.update(WarmMachine, {"_id": machine.id}, {"$set": {"going_since": machine.going_since}})

    async def _record_found(self, machine: WarmMachine, machine_id: MachineId) -> None:
        """Record a machine that was not on record, which has cost since it was ordered."""
        if not await self._meter.has_usage(machine):
            await self._meter.record_state(machine, UsageState.RUNNING, machine.ordered_at or machine.created_at)
        unknown = {"_id": machine.id, "provider_id": None}
        await self._db.update(WarmMachine, unknown, {"$set": {"provider_id": machine_id}})

    async def _close(self, machine_id: str, *, rented: bool) -> None:
        """End its usage and the record together.

        If others deleted the machine, it has cost until its cloud last had it, as far as that is known.
        """

        async def write() -> None:
            machine = await self._db.get(WarmMachine, machine_id)
            if machine is None or machine.status is not WarmStatus.RELEASING:
                return
            if rented or await self._meter.has_usage(machine):
                await self._meter.record_state(machine, None, machine.going_since or machine.there_at or _now())
            ended = {"status": WarmStatus.RELEASED, "released_at": _now()}
            await self._db.update(WarmMachine, {"_id": machine_id}, {"$set": ended})

        await self._db.transaction(write)

    async def _forget_tag(self, machine: WarmMachine) -> None:
        try:
            if self._forget is not None:
                await self._forget(machine.tag)
        except ProviderError as error:
            log.warning("failed to remove local state", extra={"warm": machine.id, "why": error.message})


def _now() -> datetime:
    return datetime.now(UTC)
