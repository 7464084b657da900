"""Requests and cancels launches: validates, writes the Launch, and starts its workflow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    InvalidStateError,
    UnavailableError,
)
from launch.duplicate_requests import DuplicateRequests
from launch.messages import LaunchInput
from launch.order_checks import OrderChecks
from launch.orders import LaunchOrder, check_order, find_unplayable_reason, new_launch
from launch.workflow_client import WorkflowClient
from models.catalog import Console, console
from models.database import Database
from models.launches import ENDED, Launch, LaunchStatus
from models.vms import Vm
from placement.coordinates import Position
from placement.ranking import Placements
from providers.registry import Registry

if TYPE_CHECKING:
    from launch.game_source import Games

log = logging.getLogger(__name__)

_TRIES: Final = 5


class Budget(Protocol):
    """Checks whether a player may spend money, as billing.limits.SpendingLimits does."""

    async def check(self, user_id: str) -> None:
        """Raise SpendingLimitError if a hard limit is reached."""
        ...


class LaunchService:
    def __init__(
        self,
        db: Database,
        engine: WorkflowClient,
        registry: Registry,
        placements: Placements,
        games: Games,
        budget: Budget,
        *,
        patience: float = 1.0,
        refuse_unplayable: bool = False,
    ) -> None:
        """Set up the service.

        `patience` scales the time limits of every step; 1 is for real clouds. `refuse_unplayable` rejects games that no
        configured emulator starts, instead of launching them with a warning.
        """
        self._refuse_unplayable = refuse_unplayable
        self._checks = OrderChecks(db, registry, placements, games)
        self._db = db
        self._repeats = DuplicateRequests(db)
        self._engine = engine
        self._budget = budget
        self._patience = patience

    async def request(self, order: LaunchOrder) -> Launch:
        """Start a launch, or return the one that this request refers to.

        That is the launch that the caller's key names, or a running one for the same player, console, game and save,
        which gets a warning if its terms differ.

        Raises IdempotencyKeyReusedError if the key was used with other arguments; a RefusedError with the `path` of the
        input field, with nothing written; and UnavailableError if the database or Temporal is unavailable, with nothing
        started by this request unless the error names a launch that may still start.
        """
        check_order(order)
        wanted = await console(self._db, order.console)
        known = await self._repeats.find(order, wanted)
        if known is not None:
            return await self._start(known)
        if self._refuse_unplayable and (reason := find_unplayable_reason(order, wanted)) is not None:
            raise InvalidInputError(reason, ("console",))
        await self._budget.check(order.user_id)
        await self._checks.check(order, wanted)
        launch = new_launch(order, wanted)
        try:
            known = await self._write(launch, order, wanted)
        except UnavailableError as error:
            return await self._undo(launch, error)
        if known is not None:
            return await self._start(known)
        return await self._begin(launch, order, wanted)

    async def check(self, order: LaunchOrder) -> None:
        """Raise what `request` would, except for what is only known when the launch begins: the stock of machines."""
        check_order(order)
        wanted = await console(self._db, order.console)
        if self._refuse_unplayable and (reason := find_unplayable_reason(order, wanted)) is not None:
            raise InvalidInputError(reason, ("console",))
        await self._budget.check(order.user_id)
        await self._checks.check_game_and_cloud(order, wanted)

    async def _begin(self, launch: Launch, order: LaunchOrder, wanted: Console) -> Launch:
        """Write the launch and start its workflow, or return the launch that its key already names."""
        try:
            named = await self._repeats.bind_key(order, wanted, launch)
            if named == launch.id:
                return await self._start(launch)
        except UnavailableError as error:
            return await self._undo(launch, error)
        except IdempotencyKeyReusedError:
            await self._forget(launch)
            raise
        await self._forget(launch)
        first = await self._repeats.keep(await self._db.get(Launch, named))
        if first is None:
            raise UnavailableError("the first request with this key could not be started")
        return await self._start(first)

    async def _write(self, launch: Launch, order: LaunchOrder, wanted: Console) -> Launch | None:
        """Return None if this launch was written, else the one that the same request wrote at the same time."""
        for _ in range(_TRIES):
            try:
                await self._db.insert(launch)
            except ConflictError:
                known = await self._repeats.find(order, wanted)
                if known is not None:
                    return known
                await self._repeats.make_room(launch)
            else:
                return None
        raise ConflictError("another launch is being requested at the same time")

    async def _forget(self, launch: Launch) -> int:
        """Delete a launch that has not started; return 0 if it has, or if another request was given it."""
        unbegun = {"_id": launch.id, "status": LaunchStatus.QUEUED, "last_sequence": 0, "shared": {"$ne": True}}
        return await self._db.delete(Launch, unbegun)

    async def cancel(self, launch: Launch, why: str | None = None) -> Launch:
        """Request the end of a launch and return it as CANCELLING. Raises InvalidStateError if it has already ended.

        `why` is shown to the player if it was not the player's request. The record is written first: a launch that is
        CANCELLING never becomes READY, even if Temporal receives the cancel late. While Temporal is unavailable,
        `launch.ended_runs` sends it later.
        """
        cancelling = await self._db.update(
            Launch,
            {"_id": launch.id, "status": {"$in": [LaunchStatus.QUEUED, LaunchStatus.RUNNING, LaunchStatus.CANCELLING]}},
            {"$set": {"status": LaunchStatus.CANCELLING, "warning": None, **({"failure": why} if why else {})}},
        )
        if cancelling is None:
            current = await self._db.get(Launch, launch.id) or launch
            raise InvalidStateError(f"the launch is already {current.status}", current.status, ("launchId",))
        try:
            await self._engine.cancel_launch(launch.id)
        except InvalidStateError:
            return await self._db.get(Launch, launch.id) or cancelling
        except UnavailableError as error:
            log.warning("failed to cancel launch, retrying later", extra={"launch": launch.id, "why": error.message})
        return cancelling

    async def replace(self, vm: Vm, key: str) -> str:
        """Set up another machine for the game on this one, on the terms of its launch; return the launch's id.

        The same key, or a running replacement, returns the same launch.
        """
        if vm.replacement_launch_id is not None:
            under_way = await self._db.get(Launch, vm.replacement_launch_id)
            if under_way is not None and under_way.status not in ENDED:
                return under_way.id
        rented = await self._db.get(Launch, vm.launch_id)
        played = rented if vm.game_launch_id is None else await self._db.get(Launch, vm.game_launch_id)
        terms = [launch for launch in (played, rented) if launch is not None]
        launch = await self.request(
            LaunchOrder(
                caller_id=vm.user_id,
                user_id=vm.user_id,
                console=vm.console,
                game_id=vm.game_id,
                save_id=None if played is None else played.save_id,
                near=_near(terms, vm),
                provider=next((each.provider for each in terms if each.provider is not None), None),
                max_usd_per_hour=next((each.max_usd_per_hour for each in terms if each.max_usd_per_hour), None),
                idle_stop_minutes=vm.idle_stop_minutes,
                max_session_hours=vm.max_session_hours,
                idempotency_key=key,
                replaces_vm_id=vm.id,
                play_at=vm.planned_for if vm.planned_for and vm.planned_for > datetime.now(UTC) else None,
                measured=next((each.measured for each in terms if each.measured_rtts), {}),
            )
        )
        return launch.id

    async def _start(self, launch: Launch) -> Launch:
        """Start the launch's workflow, once even if called repeatedly."""
        if launch.status not in ENDED:
            await self._engine.start_launch(LaunchInput(launch.id, self._patience))
        return launch

    async def _undo(self, launch: Launch, error: UnavailableError) -> Launch:
        """Undo the record, so that nothing starts after the refusal, unless it has started or another request has it.

        Whether the record was written at all may be unknown.
        """
        try:
            taken_back = await self._forget(launch)
            begun = None if taken_back else await self._db.get(Launch, launch.id)
        except UnavailableError:
            raise UnavailableError(f"{error.message}: launch {launch.id} may still start") from error
        if begun is None:
            raise error
        return begun


def _near(launches: Sequence[Launch], vm: Vm) -> Position | None:
    """Return the player's position from the launches, or else the machine's."""
    known = [(each.latitude, each.longitude) for each in launches]
    for latitude, longitude in [*known, (vm.place.latitude, vm.place.longitude)]:
        if latitude is not None and longitude is not None:
            return Position(latitude, longitude)
    return None
