"""One tag, one machine: whatever becomes of an order's answer, and however far the cloud's list lags behind."""

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
    """The single steps of which renting is made."""

    async def order(self, offer: Offer, tag: Tag, permit: OrderPermit) -> MachineId: ...

    async def listed(self) -> Sequence[Machine]: ...

    async def machine(self, machine_id: MachineId) -> Machine | None: ...

    async def release(self, machine_id: MachineId) -> None: ...


class OrderPlacement:
    """`settle_s` is how long the list may lag behind an order, `look_every_s` how often it is looked at meanwhile;
    `under_way_s` is how long after its permit an order may still be leaving, or waiting for its answer.

    An order leaves only after a look that began when every earlier order of the tag had had its settle time. That of
    another process may still be under way, if the process lives.
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
        """Those who rent under one tag do it one after another."""
        turn = self._turns[tag]
        turn.takers += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.takers -= 1
            if turn.takers == 0:
                del self._turns[tag]

    async def existing(self, tag: Tag, ordered_at: datetime | None) -> Machine | None:
        """The tag's machine; None when it is certain that an order would be the only one. Call within `turn`."""
        last = self._last_order(tag)
        if last is not None and last.machine is not None:
            machine = await self._rentals.machine(last.machine.id) or last.machine
            if machine.state is not MachineState.DELETING:
                return machine
        return await self._look_until(self._all_settled_at(last, ordered_at), tag)

    async def order(self, offer: Offer, tag: Tag, permit: OrderPermit, tell: ProgressCallback) -> Machine:
        """Order, and look for the machine when the answer does not say. Call within `turn`, after `existing`."""
        leave = _Leave(permit)
        try:
            machine_id = await self._rentals.order(offer, tag, leave.ask)
        except (NothingSentError, NoCapacityError, ProviderRefusedError):
            self._remember(tag, leave, _Outcome.NOTHING)
            raise
        except ProviderBusyError as error:
            if leave.given_at is None:
                raise
            self._remember(tag, leave, _Outcome.UNKNOWN)
            tell("The cloud's answer to the order was lost; looking for the machine")
            return await self._found_after_all(tag, leave, error)
        except asyncio.CancelledError:
            self._remember(tag, leave, _Outcome.UNKNOWN)
            raise
        machine = Machine(machine_id, tag, MachineState.CREATING, usd_per_hour=offer.usd_per_hour)
        self._remember(tag, leave, _Outcome.TAKEN, machine)
        return await self._kept_among_rivals(machine)

    def forget(self, machine_id: MachineId) -> None:
        """It was released: however long a list goes on showing it, it is not taken for a tag's machine any more."""
        self._released.append(machine_id)
        for tag, last in list(self._last_orders.items()):
            if last.machine is not None and last.machine.id == machine_id:
                self._last_orders[tag] = replace(last, outcome=_Outcome.NOTHING, machine=None)

    def _last_order(self, tag: Tag) -> _LastOrder | None:
        """What came of this process's last order of a tag, as long as the list may not show it."""
        last = self._last_orders.get(tag)
        return last if last is not None and monotonic() < last.at + self._settle_s else None

    def _all_settled_at(self, last: _LastOrder | None, ordered_at: datetime | None) -> float:
        now = monotonic()
        own = last.at + self._settle_s if last is not None and last.outcome is _Outcome.UNKNOWN else now
        if ordered_at is None or (last is not None and last.recorded == ordered_at):
            return own
        # Another process's: what we know of our own last order says nothing about it.
        longest_s = self._under_way_s + self._settle_s
        age_s = (datetime.now(UTC) - ordered_at).total_seconds()
        return max(own, now + min(longest_s, longest_s + _CLOCKS_DIFFER_S - age_s))

    async def _look_until(self, deadline: float, tag: Tag) -> Machine | None:
        """Look for the tag again and again; the last look, which must succeed, begins at the deadline or after it."""
        while True:
            is_last = monotonic() >= deadline
            try:
                found = await self._one_of(await self._listed_as(tag))
                if found is not None or is_last:
                    return found
            except ProviderBusyError:
                if is_last:
                    raise
            await asyncio.sleep(min(self._look_every_s, max(0.0, deadline - monotonic())))

    async def _listed_as(self, tag: Tag) -> list[Machine]:
        listed = await self._rentals.listed()
        return [machine for machine in listed if machine.tag == tag and machine.id not in self._released]

    async def _one_of(self, candidates: Iterable[Machine]) -> Machine | None:
        """The first of these that really exists, sound ones before broken ones. The others are released: every
        process that sees them keeps the same one."""
        looked = [await self._rentals.machine(candidate.id) for candidate in candidates]
        alive = [machine for machine in looked if machine is not None and machine.state is not MachineState.DELETING]
        alive.sort(key=lambda machine: machine.state is MachineState.BROKEN)
        for surplus in alive[1:]:
            log.warning("two machines carried one tag", extra={"tag": surplus.tag, "released": surplus.id})
            await self._rentals.release(surplus.id)
            self.forget(surplus.id)
        return alive[0] if alive else None

    async def _found_after_all(self, tag: Tag, leave: _Leave, error: ProviderBusyError) -> Machine:
        try:
            found = await self._look_until(monotonic() + self._settle_s, tag)
        except ProviderRefusedError as refused:  # refused is the look, not the order
            raise ProviderBusyError(refused.message) from refused
        if found is not None:
            return found
        self._remember(tag, leave, _Outcome.NOTHING)
        if isinstance(error, DeploymentFailedError):
            raise NoCapacityError(error.message) from error
        raise error

    async def _kept_among_rivals(self, ours: Machine) -> Machine:
        """Another process may have ordered under the same tag meanwhile."""
        try:
            listed = await self._listed_as(ours.tag)
        except ProviderError:
            return ours  # the order stands; nobody to compare it with
        if all(machine.id == ours.id for machine in listed):
            return ours
        known = listed if any(machine.id == ours.id for machine in listed) else [*listed, ours]
        try:
            return await self._one_of(known) or ours
        except ProviderRefusedError as refused:
            raise ProviderBusyError(refused.message) from refused

    def _remember(self, tag: Tag, leave: _Leave, outcome: _Outcome, machine: Machine | None = None) -> None:
        """An order that was not permitted was none, and what was before it stays true."""
        if leave.given_at is None:
            return
        now = monotonic()
        recent = {tag: last for tag, last in self._last_orders.items() if now < last.at + self._settle_s}
        self._last_orders = {**recent, tag: _LastOrder(now, leave.given_at, outcome, machine)}


class _Leave:
    """Whether an order may leave, and since when it may have left."""

    def __init__(self, permit: OrderPermit) -> None:
        self._permit = permit
        self.given_at: datetime | None = None

    async def ask(self) -> datetime:
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
