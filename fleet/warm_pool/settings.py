"""The warm pool's ceiling in dollars a day, and the pool as operators see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from errors import InvalidInputError
from fleet.warm_pool.budget import committed, read_spent_today
from models.audit import Outcome, new_entry, write_with
from models.database import Database
from models.roles import Role
from models.warm_machines import OPEN, POOL_ID, WarmMachine, WarmPool

MAX_USD_PER_DAY: Final = Decimal(10_000)
_MAX_PLACES: Final = 4


@dataclass(frozen=True, slots=True)
class PoolOverview:
    """The pool now. `most_today_usd` is the most that it can cost today, with what it has cost so far."""

    ceiling_usd_per_day: Decimal
    spent_today_usd: Decimal
    most_today_usd: Decimal
    machines: Sequence[WarmMachine]


async def read_pool(db: Database) -> PoolOverview:
    """Return the pool with its machines, the oldest first."""
    now = datetime.now(UTC)
    settings = await db.get(WarmPool, POOL_ID) or WarmPool(id=POOL_ID)
    machines, _ = await db.find_readable(WarmMachine, {"status": {"$in": sorted(OPEN)}}, sort=[("created_at", 1)])
    spent = await read_spent_today(db, now)
    return PoolOverview(settings.ceiling_usd_per_day, spent, committed(spent, machines, now).today_usd, machines)


async def set_ceiling(db: Database, usd_per_day: Decimal, by: tuple[str, Role]) -> None:
    """Set the ceiling together with an audit entry; 0 switches the pool off, and its machines are released.

    Raises InvalidInputError if the amount is not allowed.
    """
    ceiling = _validate(usd_per_day)
    entry = new_entry(*by, "setWarmPool", Outcome.DONE, detail=f"at most {ceiling} USD a day")
    change = {"$set": {"ceiling_usd_per_day": ceiling}, "$inc": {"revision": 1}}
    await write_with(db, lambda: db.upsert(WarmPool, {"_id": POOL_ID}, change), lambda _: entry)


def _validate(usd: Decimal) -> Decimal:
    """Return the amount in plain digits."""
    if not (usd.is_finite() and 0 <= usd <= MAX_USD_PER_DAY):
        raise InvalidInputError(f"ceilingPerDay must be 0 to {MAX_USD_PER_DAY} USD", ("ceilingPerDay",))
    exponent = usd.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_MAX_PLACES:
        raise InvalidInputError(f"ceilingPerDay must have at most {_MAX_PLACES} decimal places", ("ceilingPerDay",))
    return abs(Decimal(format(usd, "f")))
