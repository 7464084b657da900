"""Launches: request, cancel, look up and follow them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from auth.authorization import owner_filter, require, resolve_user
from correlation import working_on
from errors import InvalidInputError, NotFoundError, RefusedError
from launch.orders import LaunchOrder
from models.database import Document
from models.launches import ENDED, Launch, LaunchEvent, LaunchStatus, new_id
from models.pages import Mark, find_newest_first
from resolvers.audit import audited, authorize
from resolvers.context import Context
from resolvers.pagination import Page, page_from, page_size, read_mark
from resolvers.unreadable import own_of, own_or_none
from tracing import spans

_LAUNCHES = "launches"


async def launch(context: Context, launch_id: str | None) -> Launch | None:
    """Return a launch, or None if the id is malformed or unknown, or the launch is another user's."""
    require(context.caller, "Query.launch")
    return await _visible(context, launch_id)


async def launch_of(context: Context, key: str) -> Launch | None:
    """Return a launch by its own id, or None as `launch` does."""
    require(context.caller, "Launch")
    return await _visible(context, key)


async def launches_of(context: Context, keys: Sequence[str]) -> Mapping[str, Launch | Exception]:
    """Return launches by their own ids, as `launch_of` does for one."""
    require(context.caller, "Launch")
    return own_of(context, await context.loaders.launch.load_all(keys))


async def launches(
    context: Context,
    status: Collection[LaunchStatus] | None,
    user_id: str | None,
    first: int | None,
    after: str | None,
) -> Page[Launch]:
    """Return launches, newest first."""
    require(context.caller, "Query.launches")
    owner = owner_filter(context.caller, user_id)
    size, mark = page_size(first), read_mark(_LAUNCHES, after)
    query: Document = {} if owner is None else {"user_id": owner}
    if status is not None:
        query["status"] = {"$in": list(status)}
    found = await find_newest_first(
        context.services.db, Launch, query, "requested_at", mark, size + 1, context.columns.get(Launch)
    )
    return page_from(found, _mark, _LAUNCHES, size, has_previous=mark is not None)


async def launch_game(context: Context, order: LaunchOrder) -> Launch:
    """Request a launch."""
    return await _request(context, "launchGame", order)


async def create_vm(context: Context, order: LaunchOrder) -> Launch:
    """Request a machine without a game."""
    return await _request(context, "createVm", order)


def user_to_play(context: Context, user_id: str | None) -> str:
    """Return the user that an order is for. Raise ForbiddenError when a player names another user."""
    return resolve_user(context.caller, user_id)


async def cancel_launch(context: Context, launch_id: str | None) -> Launch:
    """Request the cancellation of a launch. Raise NotFoundError where `launch` returns None."""
    await authorize(context, "cancelLaunch")
    found = await _visible(context, launch_id)
    if found is None:
        raise NotFoundError("there is no such launch", ("launchId",))
    with working_on(launch=found.id):
        async with audited(context, "cancelLaunch", found.id):
            return await context.services.launches.cancel(found)


async def launch_progress(
    context: Context, launch_id: str | None, after: int | None
) -> AsyncGenerator[LaunchEvent, None]:
    """Follow a launch's events after a sequence until the last. Raise NotFoundError where `launch` returns None."""
    require(context.caller, "Subscription.launchProgress")
    if after is not None and after < 0:
        raise InvalidInputError("after must be 0 or more", ("after",))
    found = await _visible(context, launch_id)
    if found is None:
        raise NotFoundError("there is no such launch", ("launchId",))
    start = max(after or 0, context.resumes_after)
    context.is_over = found.status in ENDED and 0 < found.last_sequence <= start
    return _follow(context, found.id, start)


async def _request(context: Context, field: str, order: LaunchOrder) -> Launch:
    await authorize(context, field)
    launch_id = new_id()  # chosen before the write, so that an interrupted audit entry names it
    spans.note("gamer.launch.id", launch_id)
    with working_on(launch=launch_id):
        return await _request_as(context, field, order, launch_id)


async def _request_as(context: Context, field: str, order: LaunchOrder, launch_id: str) -> Launch:
    async with audited(context, field, launch_id) as span:
        try:
            launch = await context.services.launches.request(replace(order, launch_id=launch_id))
        except RefusedError:
            span.subject_id = None  # nothing was written
            raise
        span.subject_id = launch.id
        return launch


async def _follow(context: Context, launch_id: str, after: int) -> AsyncGenerator[LaunchEvent, None]:
    async with aclosing(context.services.progress.follow(launch_id, after)) as events:
        async for event in events:
            await context.services.pace.step()
            context.forget()
            context.event_id = event.sequence
            context.event_key = ("Launch", launch_id, event.sequence)
            yield event


async def _visible(context: Context, launch_id: str | None) -> Launch | None:
    found = await own_or_none(context, context.loaders.launch.load(launch_id)) if launch_id else None
    return found if found and context.caller.can_act_for(found.user_id) else None


def _mark(launch: Launch) -> Mark:
    return Mark(launch.requested_at, launch.id)
