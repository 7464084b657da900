"""Plans launches for a later time, and cancels such plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from errors import ConflictError, IdempotencyKeyReusedError, InvalidInputError, InvalidStateError
from launch.duplicate_requests import own_key
from launch.orders import LaunchOrder
from models.database import Database
from models.launches import MeasuredRtt, new_id
from models.scheduled_launches import OPEN, ScheduledLaunch, ScheduledLaunchCounter, ScheduledLaunchStatus
from placement.coordinates import Position
from providers.base import SiteId

FURTHEST: Final = timedelta(days=30)
MOST_OF_A_USER: Final = 20


class Checking(Protocol):
    """Checks an order as a launch would be checked now. Implemented by launch.service.LaunchService."""

    async def check(self, order: LaunchOrder) -> None:
        """Raise what `request` would, except for what is only known when the launch begins."""
        ...


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """An order and the time at which the game is to be playable."""

    order: LaunchOrder
    at: datetime


class ScheduledLaunches:
    def __init__(self, db: Database, launches: Checking) -> None:
        self._db = db
        self._launches = launches

    async def schedule(self, wanted: PlanRequest, plan_id: str) -> ScheduledLaunch:
        """Write the plan, or return the one that the caller's key names.

        Raises InvalidInputError with the path of the field, IdempotencyKeyReusedError if the key names another plan,
        and what a launch would be refused with now: limits, an unknown game, a cloud that is not configured.
        """
        plan = _plan(wanted, plan_id)
        if (known := await self._find_known(plan)) is not None:
            return known
        _check_time(plan.at, datetime.now(UTC))
        await self._launches.check(wanted.order)
        try:
            return await self._db.transaction(lambda: self._write(plan))
        except ConflictError:
            known = await self._find_known(plan)
            if known is None:
                raise
            return known

    async def _write(self, plan: ScheduledLaunch) -> ScheduledLaunch:
        """Write the plan unless its user has too many. The counter makes requests at the same time take turns."""
        await self._db.upsert(ScheduledLaunchCounter, {"_id": plan.user_id}, {"$inc": {"planned": 1}})
        if (known := await self._find_known(plan)) is not None:
            return known
        mine = {"user_id": plan.user_id, "status": {"$in": sorted(OPEN)}}
        if await self._db.count(ScheduledLaunch, mine) >= MOST_OF_A_USER:
            raise InvalidInputError(
                f"a player may have at most {MOST_OF_A_USER} scheduled launches: cancel one first", ("at",)
            )
        await self._db.insert(plan)
        return plan

    async def cancel(self, plan: ScheduledLaunch) -> ScheduledLaunch:
        """Cancel a plan whose launch has not been requested yet. Cancelling twice is cancelling once.

        Raises InvalidStateError if it has begun or ended: its launch can be cancelled instead.
        """
        planned = {"_id": plan.id, "status": ScheduledLaunchStatus.PLANNED}
        ended = {"$set": {"status": ScheduledLaunchStatus.CANCELLED}}
        cancelled = await self._db.update(ScheduledLaunch, planned, ended)
        if cancelled is not None:
            return cancelled
        now = await self._db.get(ScheduledLaunch, plan.id) or plan
        if now.status is ScheduledLaunchStatus.CANCELLED:
            return now
        raise InvalidStateError(
            f"the scheduled launch is {now.status}, not PLANNED: cancel its launch instead",
            now.status,
            ("scheduledLaunchId",),
        )

    async def _find_known(self, plan: ScheduledLaunch) -> ScheduledLaunch | None:
        same_key = {"caller_id": plan.caller_id, "idempotency_key": plan.idempotency_key}
        known = await self._db.find_one(ScheduledLaunch, same_key)
        if known is not None and _asked(known) != _asked(plan):
            raise IdempotencyKeyReusedError(
                "idempotencyKey was used for another scheduled launch: use a new one", ("idempotencyKey",)
            )
        return known


def order_of(plan: ScheduledLaunch) -> LaunchOrder:
    """Return the order of a plan's launch."""
    position = None
    if plan.latitude is not None and plan.longitude is not None:
        position = Position(plan.latitude, plan.longitude)
    return LaunchOrder(
        caller_id=plan.caller_id,
        user_id=plan.user_id,
        console=plan.console,
        game_id=plan.game_id,
        near=position,
        save_id=plan.save_id,
        provider=plan.provider,
        max_usd_per_hour=plan.max_usd_per_hour,
        idle_stop_minutes=plan.idle_stop_minutes,
        max_session_hours=plan.max_session_hours,
        idempotency_key=key_of(plan),
        launch_id=plan.launch_id,
        play_at=plan.at,
        measured={(each.provider, SiteId(each.site_id)): each.rtt_ms for each in plan.measured_rtts},
    )


def key_of(plan: ScheduledLaunch) -> str:
    """Return the idempotency key of a plan's launch."""
    return f"scheduled:{plan.id}"


def _plan(wanted: PlanRequest, plan_id: str) -> ScheduledLaunch:
    order = wanted.order
    assert order.game_id is not None, "only games are planned"
    return ScheduledLaunch(
        id=plan_id,
        caller_id=order.caller_id,
        idempotency_key=order.idempotency_key or own_key(plan_id),
        user_id=order.user_id,
        at=_to_milliseconds(wanted.at),
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
        max_usd_per_hour=order.max_usd_per_hour,
        idle_stop_minutes=order.idle_stop_minutes,
        max_session_hours=order.max_session_hours,
        launch_id=new_id(),
        planned_at=datetime.now(UTC),
    )


def _asked(plan: ScheduledLaunch) -> tuple[LaunchOrder, datetime]:
    """Return what was requested. Round trips that the player measured may differ when a request is repeated."""
    return replace(order_of(plan), idempotency_key=None, launch_id=None, measured={}), plan.at


def _check_time(at: datetime, now: datetime) -> None:
    if at <= now:
        raise InvalidInputError("at must be in the future: use launchGame to play now", ("at",))
    if at - now > FURTHEST:
        raise InvalidInputError(f"at must be within the next {FURTHEST.days} days", ("at",))


def _to_milliseconds(moment: datetime) -> datetime:
    """Return the moment as the database keeps it."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
