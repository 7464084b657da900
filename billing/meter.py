"""The meter: writes down what a VM uses, without gap or overlap, however often and by whomever it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from billing.amounts import midnight
from billing.rollups import Rollups
from errors import ConflictError
from models.database import DESCENDING, Database
from models.usage import UsageInterval, UsageState
from models.vms import ENDED, Vm

T = TypeVar("T")


class Meter:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._rollups = Rollups(db)

    async def enter(self, vm: Vm, state: UsageState | None, at: datetime) -> None:
        """From `at` on the VM is in this state; None means that it costs nothing any more.

        May be repeated. A change that was torn by a crash is completed: the new interval begins where the last one
        ended, whatever `at` says then.
        """
        last = await self._last(vm.id)
        if last is not None and last.end is None:
            if last.state is state:
                return
            last = await self._close(last, at)
        if state is None:
            return
        start = at if last is None or last.end is None else last.end
        await self._open(vm, state, 1 if last is None else last.number + 1, start)
        await self._closed_meanwhile(vm.id)

    async def reprice(self, vm: Vm, since: datetime) -> None:
        """From `since` on a VM that runs costs what it says now; earlier than the interval that is open, all of that.

        May be repeated: a change that was torn by a crash is completed.
        """
        last = await self._last(vm.id)
        if last is None or last.state is not UsageState.RUNNING:
            return
        if last.end is None and last.usd_per_hour == vm.usd_per_hour:
            return
        closed = last if last.end is not None else await self._close(last, since)
        await self._open(vm, UsageState.RUNNING, last.number + 1, closed.end or since)
        await self._closed_meanwhile(vm.id)

    async def knows(self, vm_id: str) -> bool:
        """Whether anything was ever metered for this VM."""
        return await self._last(vm_id) is not None

    async def _closed_meanwhile(self, vm_id: str) -> None:
        """Whoever tells of a machine late, when its record is closed already, must not let it cost for ever."""
        now = await self._db.get(Vm, vm_id)
        if now is None or now.status not in ENDED:
            return
        last = await self._last(vm_id)
        if last is not None and last.end is None:
            await self._close(last, now.going_since or now.deleted_at or last.start)

    async def _last(self, vm_id: str) -> UsageInterval | None:
        found = await self._db.find(UsageInterval, {"vm_id": vm_id}, sort=[("number", DESCENDING)], limit=1)
        return found[0] if found else None

    async def _close(self, interval: UsageInterval, at: datetime) -> UsageInterval:
        end = max(at, interval.start)

        async def close() -> UsageInterval | None:
            return await self._db.update(UsageInterval, {"_id": interval.id, "end": None}, {"$set": {"end": end}})

        closed = await self._noted(close, end)
        return closed or await self._db.get(UsageInterval, interval.id) or interval

    async def _open(self, vm: Vm, state: UsageState, number: int, start: datetime) -> None:
        runs = state is UsageState.RUNNING
        egress = vm.usd_per_hour_egress if runs else Decimal(0)
        # While it runs the parts add up to the whole, also where being stopped costs more than a part of it.
        storage = min(vm.usd_per_hour_stopped, vm.usd_per_hour - egress) if runs else vm.usd_per_hour_stopped
        interval = UsageInterval(
            id=f"{vm.id}:{number}",
            vm_id=vm.id,
            number=number,
            user_id=vm.user_id,
            provider=vm.provider,
            console=vm.console,
            state=state,
            start=start,
            machine_usd_per_hour=vm.usd_per_hour - storage - egress if runs else Decimal(0),
            storage_usd_per_hour=storage,
            egress_usd_per_hour=egress,
        )
        try:
            await self._noted(lambda: self._db.insert(interval), start)
        except ConflictError:
            return  # told by another process at the same moment

    async def _noted(self, write: Callable[[], Awaitable[T]], since: datetime) -> T:
        """A write that changes what was used from `since` on. Days that are over are added up again then."""
        if midnight(since) >= midnight(datetime.now(UTC)):
            return await write()

        async def both() -> T:
            await self._rollups.forget_from(since)
            return await write()

        return await self._db.transaction(both)
