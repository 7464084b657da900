"""The meter: records a VM's usage without gaps or overlaps, however often its state is reported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from billing.amounts import midnight
from billing.rollups import Rollups
from errors import ConflictError
from models.catalog import ConsoleType
from models.database import DESCENDING, Database
from models.usage import WARM_USER, UsageInterval, UsageState
from models.vms import ENDED, Vm
from providers.base import ProviderName

T = TypeVar("T")


class Metered(Protocol):
    """What the meter needs to know of a machine. `id` names its chain of intervals."""

    @property
    def id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def provider(self) -> ProviderName: ...
    @property
    def console(self) -> ConsoleType: ...
    @property
    def usd_per_hour(self) -> Decimal: ...
    @property
    def usd_per_hour_stopped(self) -> Decimal: ...
    @property
    def usd_per_hour_egress(self) -> Decimal: ...


class Meter:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._rollups = Rollups(db)

    async def record_state(self, vm: Metered, state: UsageState | None, at: datetime) -> None:
        """Record that the VM is in this state from `at` on; None means that it costs nothing any longer.

        May be repeated. A change that a crash interrupted is completed: the new interval begins where the last one
        ended, regardless of `at`.
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
        await self._close_if_ended(vm.id)

    async def reprice(self, vm: Metered, since: datetime) -> None:
        """Apply a running VM's current price from `since` on, or to the whole open interval if that began later.

        May be repeated: a change that a crash interrupted is completed.
        """
        last = await self._last(vm.id)
        if last is None or last.state is not UsageState.RUNNING:
            return
        if last.end is None and last.usd_per_hour == vm.usd_per_hour:
            return
        closed = last if last.end is not None else await self._close(last, since)
        await self._open(vm, UsageState.RUNNING, last.number + 1, closed.end or since)
        await self._close_if_ended(vm.id)

    async def has_usage(self, vm_id: str) -> bool:
        """Return whether this VM was ever metered."""
        return await self._last(vm_id) is not None

    async def _close_if_ended(self, vm_id: str) -> None:
        """Close the meter if the VM's record has ended: a late report must not let it cost forever."""
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

        closed = await self._write_and_invalidate(close, end)
        return closed or await self._db.get(UsageInterval, interval.id) or interval

    async def _open(self, vm: Metered, state: UsageState, number: int, start: datetime) -> None:
        runs = state is UsageState.RUNNING
        egress = vm.usd_per_hour_egress if runs else Decimal(0)
        # While it runs, the parts add up to the whole, even if being stopped costs more than a part of it.
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
            warm=vm.user_id == WARM_USER,
        )
        try:
            await self._write_and_invalidate(lambda: self._db.insert(interval), start)
        except ConflictError:
            return  # another process recorded it at the same time

    async def _write_and_invalidate(self, write: Callable[[], Awaitable[T]], since: datetime) -> T:
        """Run a write that changes usage from `since` on, and invalidate the sums of closed days."""
        if midnight(since) >= midnight(datetime.now(UTC)):
            return await write()

        async def both() -> T:
            await self._rollups.invalidate_from(since)
            return await write()

        return await self._db.transaction(both)
