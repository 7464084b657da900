"""Scheduled launches: plan, cancel and look up."""

from __future__ import annotations

from auth.authorization import owner_filter, require
from correlation import working_on
from errors import NotFoundError, RefusedError, UnreadableRecordError
from launch.scheduled.service import PlanRequest, ScheduledLaunches
from models.database import Document
from models.launches import new_id
from models.pages import Mark, find_newest_first
from models.scheduled_launches import ScheduledLaunch
from resolvers.audit import audited, authorize
from resolvers.context import Context
from resolvers.pagination import Page, page_from, page_size, read_mark

_PLANS = "scheduledLaunches"


async def scheduled_launch_of(context: Context, key: str) -> ScheduledLaunch | None:
    """Return a plan by its own id; None if it does not exist or belongs to another user."""
    require(context.caller, "ScheduledLaunch")
    return await _visible(context, key)


async def scheduled_launches(
    context: Context, user_id: str | None, first: int | None, after: str | None
) -> Page[ScheduledLaunch]:
    """Return plans, the newest first."""
    require(context.caller, "Query.scheduledLaunches")
    owner = owner_filter(context.caller, user_id)
    size, mark = page_size(first), read_mark(_PLANS, after)
    query: Document = {} if owner is None else {"user_id": owner}
    found = await find_newest_first(context.services.db, ScheduledLaunch, query, "planned_at", mark, size + 1)
    return page_from(found, lambda plan: Mark(plan.planned_at, plan.id), _PLANS, size, has_previous=mark is not None)


async def schedule_launch(context: Context, wanted: PlanRequest) -> ScheduledLaunch:
    """Plan a launch, or return the plan that the caller's key names."""
    await authorize(context, "scheduleLaunch")
    plan_id = new_id()
    async with audited(context, "scheduleLaunch", plan_id) as span:
        try:
            plan = await _plans(context).schedule(wanted, plan_id)
        except RefusedError:
            span.subject_id = None  # nothing was written
            raise
        span.subject_id = plan.id
        return plan


async def cancel_scheduled_launch(context: Context, plan_id: str | None) -> ScheduledLaunch:
    """Cancel a plan. Raise NotFoundError if it does not exist or belongs to another user."""
    await authorize(context, "cancelScheduledLaunch")
    found = None if plan_id is None else await _visible(context, plan_id)
    if found is None:
        raise NotFoundError("there is no such scheduled launch", ("scheduledLaunchId",))
    with working_on(launch=found.launch_id):
        async with audited(context, "cancelScheduledLaunch", found.id):
            return await _plans(context).cancel(found)


def _plans(context: Context) -> ScheduledLaunches:
    return ScheduledLaunches(context.services.db, context.services.launches)


async def _visible(context: Context, plan_id: str) -> ScheduledLaunch | None:
    try:
        found = await context.services.db.get(ScheduledLaunch, plan_id)
    except UnreadableRecordError:
        if context.caller.role == "PLAYER":
            return None  # nothing shows that it is the caller's
        raise
    return found if found and context.caller.can_act_for(found.user_id) else None
