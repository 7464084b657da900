"""Places orders so that one tag has one machine, even if responses are lost or the cloud's list lags behind."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from time import monotonic
from typing import Final, Protocol

from errors import NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import Machine, MachineId, MachineState, Offer, OrderPermit, ProgressCallback, Tag
from providers.http import NothingSentError
from providers.tensordock.error_table import DeploymentFailedError

log = logging.getLogger(__name__)

_LOOKS_PER_SETTLE_TIME: Final = 50
_RELEASES_REMEMBERED: Final = 1000
_CLOCKS_DIFFER_S: Final = 30.0


class Rentals(Protocol):
    """The single requests that order placement uses."""

    async def order(self, offer: Offer, tag: Tag, permit: OrderPermit) -> MachineId: ...

    async def list_machines(self) -> Sequence[Machine]: ...

    async def machine(self, machine_id: MachineId) -> Machine | None: ...

    async def release(self, machine_id: MachineId) -> None: ...


class OrderPlacement:
    """Places orders and finds the machine of an earlier one.

    `settle_s` is how long the list may lag behind an order, `look_every_s` how often it is read during that time, and
    `under_way_s` how long after its permit an order may still be under way, or be waiting for its response. An order is
    sent only after reading the list once every earlier order of the tag has had its settle time. An order of another
    process may still be under way if that process is alive.
    """

    def __init__(self, rentals: Rentals, *, settle_s: float, under_way_s: float, look_every_s: float) -> None:
        self._rentals = rentals
        self._settle_s = settle_s
        self._under_way_s = under_way_s
        self._look_every_s = max(look_every_s, settle_s / _LOOKS_PER_SETTLE_TIME)
        self._turns: defaultdict[Tag, _Turn] = defaultdict(_Turn)
        self._last_orders: dict[Tag, _LastOrder] = {}
        self._released: deque[MachineId] = deque(maxlen=_RELEASES_REMEMBERED)

    @asynccontextmanager
    async def turn(self, tag: Tag) -> AsyncIterator[None]:
        """Serialize callers that rent under the same tag."""
        turn = self._turns[tag]
        turn.takers += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.takers -= 1
            if turn.takers == 0:
                del self._turns[tag]

    async def find_existing(self, tag: Tag, ordered_at: datetime | None) -> Machine | None:
        """Return the tag's machine, or None if a new order is certain to be the only one. Call within `turn`."""
        last = self._last_order(tag)
        if last is not None and last.machine is not None:
            machine = await self._rentals.machine(last.machine.id) or last.machine
            if machine.state is not MachineState.DELETING:
                return machine
        return await self._look_until(self._all_settled_at(last, ordered_at), tag)

    async def order(self, offer: Offer, tag: Tag, permit: OrderPermit, report: ProgressCallback) -> Machine:
        """Order, and look for the machine if the response is lost. Call within `turn`, after `find_existing`."""
        permission = _RecordedPermit(permit)
        try:
            machine_id = await self._rentals.order(offer, tag, permission.request)
        except (NothingSentError, NoCapacityError, ProviderRefusedError):
            self._remember(tag, permission, _Outcome.NOTHING)
            raise
        except ProviderBusyError as error:
            if permission.given_at is None:
                raise
            self._remember(tag, permission, _Outcome.UNKNOWN)
            report("The cloud's response to the order was lost; looking for the machine")
            return await self._find_after_lost_response(tag, permission, error)
        except asyncio.CancelledError:
            self._remember(tag, permission, _Outcome.UNKNOWN)
            raise
        machine = Machine(machine_id, tag, MachineState.CREATING, usd_per_hour=offer.usd_per_hour)
        self._remember(tag, permission, _Outcome.TAKEN, machine)
        return await self._resolve_duplicates(machine)

    def forget(self, machine_id: MachineId) -> None:
        """Ignore a released machine from now on, even while lists still contain it."""
        self._released.append(machine_id)
        for tag, last in list(self._last_orders.items()):
            if last.machine is not None and last.machine.id == machine_id:
                self._last_orders[tag] = replace(last, outcome=_Outcome.NOTHING, machine=None)

    def _last_order(self, tag: Tag) -> _LastOrder | None:
        """Return this process's last order of a tag while the list may not show it yet."""
        last = self._last_orders.get(tag)
        return last if last is not None and monotonic() < last.at + self._settle_s else None

    def _all_settled_at(self, last: _LastOrder | None, ordered_at: datetime | None) -> float:
        now = monotonic()
        own = last.at + self._settle_s if last is not None and last.outcome is _Outcome.UNKNOWN else now
        if ordered_at is None or (last is not None and last.recorded == ordered_at):
            return own
        # For an order of another process, the outcome of our own last order proves nothing.
        longest_s = self._under_way_s + self._settle_s
        age_s = (datetime.now(UTC) - ordered_at).total_seconds()
        return max(own, now + min(longest_s, longest_s + _CLOCKS_DIFFER_S - age_s))

    async def _look_until(self, deadline: float, tag: Tag) -> Machine | None:
        """Read the list until it has the tag. The last read begins at the deadline or later, and must succeed."""
        while True:
            is_last = monotonic() >= deadline
            try:
                found = await self._keep_one(await self._list_by_tag(tag))
                if found is not None or is_last:
                    return found
            except ProviderBusyError:
                if is_last:
                    raise
            await asyncio.sleep(min(self._look_every_s, max(0.0, deadline - monotonic())))

    async def _list_by_tag(self, tag: Tag) -> list[Machine]:
        listed = await self._rentals.list_machines()
        return [machine for machine in listed if machine.tag == tag and machine.id not in self._released]

    async def _keep_one(self, candidates: Iterable[Machine]) -> Machine | None:
        """Return the first machine that really exists, sound ones before broken ones, and release the others.

        Every process that sees the same machines keeps the same one.
        """
        looked = [await self._rentals.machine(candidate.id) for candidate in candidates]
        alive = [machine for machine in looked if machine is not None and machine.state is not MachineState.DELETING]
        alive.sort(key=lambda machine: machine.state is MachineState.BROKEN)
        for surplus in alive[1:]:
            log.warning("releasing machine with duplicate tag", extra={"tag": surplus.tag, "released": surplus.id})
            await self._rentals.release(surplus.id)
            self.forget(surplus.id)
        return alive[0] if alive else None

    async def _find_after_lost_response(
        self, tag: Tag, permission: _RecordedPermit, error: ProviderBusyError
    ) -> Machine:
        try:
            found = await self._look_until(monotonic() + self._settle_s, tag)
        except ProviderRefusedError as refused:  # the read was rejected, not the order
            raise ProviderBusyError(refused.message) from refused
        if found is not None:
            return found
        self._remember(tag, permission, _Outcome.NOTHING)
        if isinstance(error, DeploymentFailedError):
            raise NoCapacityError(error.message) from error
        raise error

    async def _resolve_duplicates(self, ours: Machine) -> Machine:
        """Keep one machine if another process has ordered under the same tag at the same time."""
        try:
            listed = await self._list_by_tag(ours.tag)
        except ProviderError:
            return ours  # the order is placed; there is nothing to compare it with
        if all(machine.id == ours.id for machine in listed):
            return ours
        known = listed if any(machine.id == ours.id for machine in listed) else [*listed, ours]
        try:
            return await self._keep_one(known) or ours
        except ProviderRefusedError as refused:
            raise ProviderBusyError(refused.message) from refused

    def _remember(
        self, tag: Tag, permission: _RecordedPermit, outcome: _Outcome, machine: Machine | None = None
    ) -> None:
        """Record the outcome of an order.

        An order that was never permitted is ignored, so that the previous outcome is kept.
        """
        if permission.given_at is None:
            return
        now = monotonic()
        recent = {tag: last for tag, last in self._last_orders.items() if now < last.at + self._settle_s}
        self._last_orders = {**recent, tag: _LastOrder(now, permission.given_at, outcome, machine)}


class _RecordedPermit:
    """Wraps a permit and remembers when it was given."""

    def __init__(self, permit: OrderPermit) -> None:
        self._permit = permit
        self.given_at: datetime | None = None

    async def request(self) -> datetime:
        self.given_at = await self._permit()
        return self.given_at


class _Outcome(StrEnum):
    TAKEN = "taken"
    NOTHING = "nothing"  # for certain
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _LastOrder:
    at: float
    recorded: datetime
    outcome: _Outcome
    machine: Machine | None = None


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    takers: int = 0
