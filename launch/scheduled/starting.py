"""Requests the launches of plans early enough: by the 90th percentile of what launches take there.

A worker first claims the plan, so that it cannot be cancelled meanwhile, and then requests a launch with an id and a
key that belong to the plan. A worker that dies in between leaves the plan STARTING, and the next round repeats the
request, which finds the same launch.

A plan whose time has passed fails without a launch: workers that were down for a night must not rent machines for
players who have left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from temporalio import activity

from auth.callers import API_KEY_CALLER_PREFIX
from errors import GatewayError, InvalidInputError, RefusedError
from launch.orders import LaunchOrder
from launch.playable_time import PlayableTimes
from launch.scheduled.messages import StartRound
from launch.scheduled.service import key_of, order_of
from models.api_keys import ApiKey
from models.audit import Outcome, service_entry, write_entry
from models.catalog import console
from models.database import Database, Document
from models.idempotency import IdempotencyKey, key_id
from models.launches import Launch
from models.scheduled_launches import OPEN, ScheduledLaunch, ScheduledLaunchStatus
from placement.ranking import Placements

log = logging.getLogger(__name__)

_EARLIEST: Final = timedelta(minutes=45)  # no machine waits for longer, however slow launches are
_LATEST: Final = timedelta(minutes=3)
_UNKNOWN: Final = timedelta(minutes=30)
_AT_ONCE: Final = 100
_LATE: Final = timedelta(minutes=10)  # after the planned time; by then no launch is requested
_ATTEMPT: Final = timedelta(minutes=5)  # another worker may be requesting the launch for as long


Clock = Callable[[], datetime]


class Requesting(Protocol):
    """Requests launches. Implemented by launch.service.LaunchService."""

    async def request(self, order: LaunchOrder) -> Launch: ...


class StartingScheduled:
    """The activity that starts what is due. It may run on several workers at once."""

    def __init__(self, db: Database, launches: Requesting, placements: Placements) -> None:
        self._db = db
        self._launches = launches
        self._placements = placements
        self._playable = PlayableTimes(db)

    @activity.defn(name="start_scheduled")
    async def start_due(self, _: StartRound) -> int:
        """Start what is due and return the number of plans that were started or failed."""
        return await self.start_due_by(lambda: datetime.now(UTC))

    async def start_due_by(self, clock: Clock) -> int:
        """Start what is due by this clock, which is read for each plan: the process may be paused in between."""
        near = {"status": {"$in": sorted(OPEN)}, "at": {"$lte": clock() + _EARLIEST}}
        plans, _ = await self._db.find_readable(ScheduledLaunch, near, sort=[("at", 1)], limit=_AT_ONCE)
        return sum([await self._start_if_due(plan, clock) for plan in plans])

    async def _start_if_due(self, plan: ScheduledLaunch, clock: Clock) -> bool:
        try:
            if plan.status is ScheduledLaunchStatus.PLANNED and clock() < plan.at - await self._lead(plan):
                return False
            return await self._start(plan, clock())
        except GatewayError as error:
            log.warning("failed to start scheduled launch", extra={"plan": plan.id, "why": error.message})
            return False

    async def _lead(self, plan: ScheduledLaunch) -> timedelta:
        """Return how long before its time the launch of a plan must be requested."""
        order, wanted = order_of(plan), await console(self._db, plan.console)
        try:
            ranked = await self._placements.rank(
                wanted,
                order.near,
                provider=order.provider,
                max_usd_per_hour=order.max_usd_per_hour,
                limit=1,
                measured=order.measured,
            )
        except RefusedError:
            return _UNKNOWN
        if not ranked:
            return _UNKNOWN
        offer = ranked[0].offer
        promise = await self._playable.expected(offer.provider, offer.site_id, wanted.preset.name)
        lead = _UNKNOWN if promise is None else timedelta(seconds=promise.p90_seconds)
        return min(max(lead, _LATEST), _EARLIEST)

    async def _start(self, plan: ScheduledLaunch, now: datetime) -> bool:
        """Claim the plan and request its launch. A refusal is final once the plan's time has come."""
        unstarted = {"_id": plan.id, "status": {"$in": sorted(OPEN)}}
        claimed = {"$set": {"status": ScheduledLaunchStatus.STARTING}}
        if await self._db.update(ScheduledLaunch, unstarted, claimed) is None:
            return False  # cancelled, or started by another worker
        starting = {"_id": plan.id, "status": ScheduledLaunchStatus.STARTING}
        if (reason := await self._find_obstacle(plan, now)) is not None:
            await self._fail(plan, reason)
            return True
        try:
            launch = await self._launches.request(order_of(plan))
        except RefusedError as error:
            if now < plan.at and not isinstance(error, InvalidInputError):
                # There may be a machine, or money, until then.
                await self._db.update(ScheduledLaunch, starting, {"$set": {"status": ScheduledLaunchStatus.PLANNED}})
                raise
            await self._fail(plan, error.message)
            return True
        started = {"status": ScheduledLaunchStatus.STARTED, "started_launch_id": launch.id}
        await self._end(plan, started, Outcome.DONE, f"launch {launch.id}")
        return True

    async def _find_obstacle(self, plan: ScheduledLaunch, now: datetime) -> str | None:
        """Return why no launch may be requested now; None if it may, or if the plan's launch exists already."""
        patience = _LATE if plan.status is ScheduledLaunchStatus.PLANNED else _LATE + _ATTEMPT
        reason = None
        if now - plan.at > patience:
            reason = f"the launch could not be requested in time: the planned time was {plan.at:%Y-%m-%d %H:%M} UTC"
        elif not await self._may_still_launch(plan, now):
            reason = "the API key that planned it was revoked or has expired"
        return None if reason is None or await self._has_launch(plan) else reason

    async def _may_still_launch(self, plan: ScheduledLaunch, now: datetime) -> bool:
        """Return whether the API key that planned the launch is still valid. Players' tokens cannot be checked."""
        if not plan.caller_id.startswith(API_KEY_CALLER_PREFIX):
            return True
        api_key = await self._db.get(ApiKey, plan.caller_id.removeprefix(API_KEY_CALLER_PREFIX))
        return api_key is not None and api_key.is_valid_at(now)

    async def _has_launch(self, plan: ScheduledLaunch) -> bool:
        """Return whether an earlier attempt requested the launch, or found another one that plays the same."""
        key = await self._db.get(IdempotencyKey, key_id(plan.caller_id, plan.user_id, key_of(plan)))
        named = [plan.launch_id] if key is None else [plan.launch_id, key.launch_id]
        return await self._db.count(Launch, {"_id": {"$in": named}}) > 0

    async def _fail(self, plan: ScheduledLaunch, reason: str) -> None:
        failed = {"status": ScheduledLaunchStatus.FAILED, "failure": reason}
        await self._end(plan, failed, Outcome.REFUSED, reason)

    async def _end(self, plan: ScheduledLaunch, changes: Document, outcome: Outcome, detail: str) -> None:
        """Write what became of the plan, with an audit entry, once."""
        starting = {"_id": plan.id, "status": ScheduledLaunchStatus.STARTING}
        entry = service_entry("schedule", "startScheduledLaunch", plan.id, detail)

        async def write() -> None:
            if await self._db.update(ScheduledLaunch, starting, {"$set": changes}) is not None:
                await write_entry(self._db, entry.model_copy(update={"outcome": outcome}))

        await self._db.transaction(write)
