"""The warm pool, for operators."""

from __future__ import annotations

from decimal import Decimal

from auth.authorization import require
from fleet.warm_pool.settings import PoolOverview, read_pool, set_ceiling
from resolvers.context import Context


async def warm_pool(context: Context) -> PoolOverview:
    """Return the pool with the machines that are in it."""
    require(context.caller, "Query.warmPool")
    return await read_pool(context.services.db)


async def set_warm_pool(context: Context, ceiling_usd_per_day: Decimal) -> PoolOverview:
    """Set the pool's ceiling. Raise InvalidInputError if it is not allowed."""
    require(context.caller, "Mutation.setWarmPool")
    await set_ceiling(context.services.db, ceiling_usd_per_day, (context.caller.id, context.caller.role))
    return await read_pool(context.services.db)
