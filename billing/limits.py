"""Spending limits: setting and removing them, and enforcing hard limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from billing.reports import Report, Reports
from billing.windows import Window, day_of, month_of
from errors import InvalidInputError, NotFoundError, SpendingLimitError
from models.audit import Outcome, new_entry, write_with
from models.database import Database
from models.limits import LimitPeriod, SpendingLimit, limit_id
from models.roles import Role

MAX_USD: Final = Decimal(1_000_000)
_MAX_PLACES: Final = 4
PERIODS: Final = {LimitPeriod.DAILY: day_of, LimitPeriod.MONTHLY: month_of}
_WORDS: Final = {LimitPeriod.DAILY: "daily", LimitPeriod.MONTHLY: "monthly"}


@dataclass(frozen=True, slots=True)
class MustStop:
    """Users with machines that have to stop, and the reasons. `everybody` is the platform's reason."""

    everybody: str | None
    users: dict[str, str]

    def reason(self, user_id: str) -> str | None:
        """Return why this user's machines must stop, or None if they may run."""
        return self.everybody or self.users.get(user_id)


class SpendingLimits:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._reports = Reports(db)

    async def set(
        self, period: LimitPeriod, usd: Decimal, user_id: str | None, *, hard: bool, by: tuple[str, Role]
    ) -> SpendingLimit:
        """Set or change a limit, together with an audit entry. Raises InvalidInputError with the path of the field."""
        limit = SpendingLimit(
            id=limit_id(period, user_id),
            period=period,
            user_id=user_id,
            usd=validate_limit(usd, "amount"),
            hard=hard,
            set_at=datetime.now(UTC),
        )
        words = f"{describe(limit)} of {limit.usd} USD, {'hard' if hard else 'soft'}"
        entry = new_entry(*by, "setSpendingLimit", Outcome.DONE, subject_id=user_id, detail=words)
        await write_with(self._db, lambda: self._db.replace(limit), lambda _: entry)
        return limit

    async def remove(self, period: LimitPeriod, user_id: str | None, *, by: tuple[str, Role]) -> SpendingLimit:
        """Remove a limit, together with an audit entry, and return it. Raises NotFoundError if it does not exist."""
        limit = await self._db.get(SpendingLimit, limit_id(period, user_id))
        if limit is None:
            raise NotFoundError(f"there is no {_WORDS[period]} spending limit of this kind", ("period",))
        words = f"{describe(limit)} of {limit.usd} USD, {'hard' if limit.hard else 'soft'}"
        entry = new_entry(*by, "removeSpendingLimit", Outcome.DONE, subject_id=user_id, detail=words)
        await write_with(self._db, lambda: self._db.delete(SpendingLimit, {"_id": limit.id}), lambda _: entry)
        return limit

    async def all(self, user_id: str | None) -> list[SpendingLimit]:
        """Return one user's limits, or for None those of the platform and of every user."""
        found, _ = await self._db.find_readable(SpendingLimit, {} if user_id is None else {"user_id": user_id})
        return sorted(found, key=lambda limit: (limit.user_id or "", limit.period))

    async def check(self, user_id: str) -> None:
        """Raise SpendingLimitError if a hard limit of this user or the platform is reached.

        A user does not learn the platform's spending, only that its limit is reached. Raises UnreadableRecordError if
        this version cannot read one of the limits, because its amount is unknown.
        """
        for limit in await self._db.find(SpendingLimit, {"user_id": {"$in": [user_id, None]}, "hard": True}):
            spent = (await self.spending(limit)).total_usd
            if spent >= limit.usd:
                shown = spent if limit.user_id is not None else limit.usd
                raise SpendingLimitError(f"{describe(limit)} of {limit.usd} USD is reached", limit.usd, shown)

    async def find_must_stop(self, now: datetime | None = None) -> MustStop:
        """Return the users with hard limits that are reached now.

        A limit that cannot be read stops no machine and does not affect other limits.
        """
        everybody, users = None, {}
        limits, _ = await self._db.find_readable(SpendingLimit, {"hard": True})
        for limit in limits:
            if (await self.spending(limit, now)).total_usd < limit.usd:
                continue
            reason = f"{describe(limit)} is reached"
            if limit.user_id is None:
                everybody = reason
            else:
                users[limit.user_id] = reason
        return MustStop(everybody, users)

    async def spending(self, limit: SpendingLimit, now: datetime | None = None) -> Report:
        """Return the spending that counts against a limit: the metered costs of the current period."""
        now = now or datetime.now(UTC)
        return await self._reports.spent(period_of(limit.period, now), user_id=limit.user_id, now=now)


def period_of(period: LimitPeriod, now: datetime) -> Window:
    """Return the window of a period at a moment."""
    return PERIODS[period](now)


def describe(limit: SpendingLimit) -> str:
    """Return a limit's name in words."""
    whose = "the platform's" if limit.user_id is None else "the"
    return f"{whose} {_WORDS[limit.period]} spending limit"


def validate_limit(usd: Decimal, field: str) -> Decimal:
    """Return the amount in plain digits: 1000, not 1E+3. Raises InvalidInputError with the field if it is invalid."""
    if not (usd.is_finite() and 0 < usd <= MAX_USD):
        raise InvalidInputError(f"{field} must be more than 0 and at most {MAX_USD} USD", (field,))
    exponent = usd.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_MAX_PLACES:
        raise InvalidInputError(f"{field} must have at most {_MAX_PLACES} decimal places", (field,))
    return Decimal(format(usd, "f"))
