"""How long launches took, for operators, and what can be promised, for everyone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from auth.authorization import require
from errors import InvalidInputError
from launch.launch_times import MonthOfLaunches
from launch.launch_times import launch_times as months_of_launches
from models.launch_times import PlayablePromise
from placement.ranking import RankedPlacement
from resolvers.context import Context

_MOST_MONTHS = 24


async def launch_times(context: Context, months: int) -> list[MonthOfLaunches]:
    """Return this month and the ones before it. Raise InvalidInputError for fewer than 1 or more than 24."""
    require(context.caller, "Query.launchTimes")
    if not 1 <= months <= _MOST_MONTHS:
        raise InvalidInputError(f"months must be 1 to {_MOST_MONTHS}", ("months",))
    since = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(months - 1):
        since = (since - timedelta(days=1)).replace(day=1)
    return await months_of_launches(context.services.db, since)


async def playable_in(context: Context, placement: RankedPlacement) -> PlayablePromise | None:
    """Return when a game would be playable there: on a warm machine if one is ready, else on a new one."""
    if placement.preset is None:
        return None
    offer = placement.offer
    return await context.services.playable.expected_now(offer.provider, offer.site_id, placement.preset)
