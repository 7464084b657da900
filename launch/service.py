"""Requests and cancels launches: validates, writes the Launch, and starts its workflow."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from auth.callers import validate_user_id
from errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    ProviderDownError,
    ProviderError,
    ProviderSilentError,
    StockUnknownError,
    UnavailableError,
)
from launch.duplicate_requests import DuplicateRequests, own_key, under_way_key
from launch.messages import LaunchInput
from launch.workflow_client import WorkflowClient
from models.catalog import Console, ConsoleType, console
from models.database import Database, Document
from models.launches import ENDED, Launch, LaunchStatus, LaunchStepName, MeasuredRtt, Step, new_id
from models.vms import Vm, VmStatus
from placement.coordinates import Position
from placement.ranking import Placements
from placement.reasons import price_words
from placement.scoring import SiteKey
from providers.base import ProviderName
from providers.last_known import collect_stale
from providers.registry import Registry

if TYPE_CHECKING:
    from launch.game_source import Games

log = logging.getLogger(__name__)

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_NAME_WORDS: Final = "must have 1 to 128 of a-z, 0-9, dot, underscore and dash, and begin with a letter or digit"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_STOCK_PATIENCE_S: Final = 2.0
_TRIES: Final = 5
_MAX_SESSION_HOURS: Final = 24.0
_MAX_IDLE_MINUTES: Final = 24 * 60
_MAX_USD_PER_HOUR: Final = Decimal(1000)


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """A request as received, validated only by type. `game_id` None requests a machine without a game."""

    caller_id: str
    user_id: str
    console: ConsoleType
    game_id: str | None
    near: Position | None = None
    save_id: str | None = None
    provider: ProviderName | None = None
    vm_id: str | None = None
    max_usd_per_hour: Decimal | None = None
    idle_stop_minutes: int | None = None
    max_session_hours: float | None = None
    idempotency_key: str | None = None
    replaces_vm_id: str | None = None
    launch_id: str | None = None  # id for the new launch; None generates one
    measured: Mapping[SiteKey, float] = field(default_factory=dict)  # the player's own round trips in milliseconds


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
        self._placements = placements
        self._db = db
        self._repeats = DuplicateRequests(db)
        self._engine = engine
        self._registry = registry
        self._games = games
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
        _check(order)
        wanted = await console(self._db, order.console)
        known = await self._repeats.find(order, wanted)
        if known is not None:
            return await self._start(known)
        if self._refuse_unplayable and (reason := _unplayable(order, wanted)) is not None:
            raise InvalidInputError(reason, ("console",))
        await self._budget.check(order.user_id)
        await self._check_world(order, wanted)
        launch = _document(order, wanted)
        try:
            known = await self._write(launch, order, wanted)
        except UnavailableError as error:
            return await self._undo(launch, error)
        if known is not None:
            return await self._start(known)
        return await self._begin(launch, order, wanted)

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

    async def _check_world(self, order: LaunchOrder, wanted: Console) -> None:
        """Check what only other systems know: whether the game, the machine and the cloud exist."""
        if order.provider is not None and not self._registry.is_configured(order.provider):
            raise ProviderDownError(f"{order.provider} is not configured", order.provider, ("provider",))
        enabled = {preference.provider for preference in wanted.providers if preference.enabled}
        if order.provider is not None and order.provider not in enabled:
            raise ProviderDownError(f"{order.provider} is disabled for {wanted.name}", order.provider, ("provider",))
        if order.game_id is not None:
            await self._check_game(order, wanted)
        if order.vm_id is not None:
            await self._check_vm(order)
        elif not await self._has_machine(order):
            await self._check_stock(order, wanted)

    async def _check_game(self, order: LaunchOrder, wanted: Console) -> None:
        assert order.game_id is not None
        try:
            known = await self._games.find(order.console, order.game_id)
        except ProviderSilentError:
            return  # the launch checks again, and for longer
        except ProviderError as error:
            raise UnavailableError("the game library does not respond") from error
        if known is None:
            raise NotFoundError(f"there is no game {order.game_id} for {wanted.name} in the library", ("gameId",))

    async def _has_machine(self, order: LaunchOrder) -> bool:
        """Return whether the launch will use a machine that is already running."""
        running: Document = {"user_id": order.user_id, "status": VmStatus.RUNNING, "console": order.console}
        if order.max_usd_per_hour is not None:
            running["usd_per_hour"] = {"$lte": order.max_usd_per_hour}
        return order.game_id is not None and await self._db.count(Vm, running) > 0

    async def _check_stock(self, order: LaunchOrder, wanted: Console) -> None:
        """Check whether anything could be rented now.

        A slow cloud does not delay the response: the launch itself asks again, and for longer.
        """
        try:
            with collect_stale() as stale:
                async with asyncio.timeout(_STOCK_PATIENCE_S):
                    ranked = await self._placements.rank(
                        wanted, order.near, provider=order.provider, max_usd_per_hour=order.max_usd_per_hour, limit=1
                    )
                    if not ranked and not stale:
                        raise await self._placements.explain_empty(
                            wanted, provider=order.provider, max_usd_per_hour=order.max_usd_per_hour
                        )
        except (TimeoutError, StockUnknownError):
            return

    async def _check_vm(self, order: LaunchOrder) -> None:
        vm = await self._db.get(Vm, order.vm_id)
        if vm is None or vm.user_id != order.user_id:
            raise NotFoundError("there is no such VM", ("vmId",))
        if vm.console is not order.console:
            raise InvalidInputError(f"this machine was set up for {vm.console}", ("vmId",))
        if vm.status is not VmStatus.RUNNING:
            raise InvalidStateError(f"the machine is {vm.status}, not RUNNING", vm.status, ("vmId",))
        if order.max_usd_per_hour is not None and vm.usd_per_hour > order.max_usd_per_hour:
            raise InvalidInputError(
                f"this machine costs {price_words(vm.usd_per_hour)}; maxHourlyPrice allows "
                f"{price_words(order.max_usd_per_hour)}",
                ("maxHourlyPrice",),
            )


def _check(order: LaunchOrder) -> None:
    """Check the values by themselves."""
    if order.game_id is not None and not NAME.fullmatch(order.game_id):
        raise InvalidInputError(f"gameId {_NAME_WORDS}", ("gameId",))
    if order.save_id is not None and not NAME.fullmatch(order.save_id):
        raise InvalidInputError(f"saveId {_NAME_WORDS}", ("saveId",))
    validate_user_id(order.user_id, ("userId",))
    if order.idempotency_key is not None and not _KEY.fullmatch(order.idempotency_key):
        raise InvalidInputError("idempotencyKey must be 1 to 128 visible ASCII characters", ("idempotencyKey",))
    price = order.max_usd_per_hour
    if price is not None and not (price.is_finite() and 0 < price <= _MAX_USD_PER_HOUR):
        raise InvalidInputError(
            f"maxHourlyPrice must be more than 0 and at most {_MAX_USD_PER_HOUR}", ("maxHourlyPrice",)
        )
    idle = order.idle_stop_minutes
    if idle is not None and not 1 <= idle <= _MAX_IDLE_MINUTES:
        raise InvalidInputError(f"idleStopMinutes must be between 1 and {_MAX_IDLE_MINUTES}", ("idleStopMinutes",))
    hours = order.max_session_hours
    if hours is not None and not (math.isfinite(hours) and 0 < hours <= _MAX_SESSION_HOURS):
        raise InvalidInputError(
            f"maxSessionHours must be more than 0 and at most {_MAX_SESSION_HOURS:g}", ("maxSessionHours",)
        )


def _near(launches: Sequence[Launch], vm: Vm) -> Position | None:
    """Return the player's position from the launches, or else the machine's."""
    known = [(each.latitude, each.longitude) for each in launches]
    for latitude, longitude in [*known, (vm.place.latitude, vm.place.longitude)]:
        if latitude is not None and longitude is not None:
            return Position(latitude, longitude)
    return None


def _unplayable(order: LaunchOrder, wanted: Console) -> str | None:
    """Return why the game will not start. A machine without a game shows the menu, as requested."""
    return None if order.game_id is None else wanted.unplayable_reason


def _document(order: LaunchOrder, wanted: Console) -> Launch:
    launch_id = order.launch_id or new_id()
    return Launch(
        id=launch_id,
        caller_id=order.caller_id,
        idempotency_key=order.idempotency_key or own_key(launch_id),
        user_id=order.user_id,
        console=order.console,
        game_id=order.game_id,
        save_id=order.save_id,
        latitude=None if order.near is None else order.near.latitude,
        longitude=None if order.near is None else order.near.longitude,
        measured_rtts=[
            MeasuredRtt(provider=provider, site_id=site_id, rtt_ms=rtt_ms)
            for (provider, site_id), rtt_ms in order.measured.items()
        ],
        provider=order.provider,
        requested_vm_id=order.vm_id,
        replaces_vm_id=order.replaces_vm_id,
        max_usd_per_hour=order.max_usd_per_hour,
        idle_stop_minutes=order.idle_stop_minutes or wanted.idle_stop_minutes,
        max_session_hours=order.max_session_hours or wanted.max_session_hours,
        steps=[Step(name=name) for name in LaunchStepName],
        warning=_unplayable(order, wanted),
        under_way=under_way_key(order),
        requested_at=datetime.now(UTC),
    )
