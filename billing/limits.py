"""Spending limits: setting them, and what they forbid once they are reached."""

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
    """Whose machines have to stop, and why in words."""

    everybody: str | None
    users: dict[str, str]

    def reason(self, user_id: str) -> str | None:
        """None: this user's machines may go on."""
        return self.everybody or self.users.get(user_id)


class SpendingLimits:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._reports = Reports(db)

    async def set(
        self, period: LimitPeriod, usd: Decimal, user_id: str | None, *, hard: bool, by: tuple[str, Role]
    ) -> SpendingLimit:
        """Set or change a limit, with its entry in the audit trail. InvalidInputError names the field."""
        limit = SpendingLimit(
            id=limit_id(period, user_id),
            period=period,
            user_id=user_id,
            usd=checked_limit(usd, "amount"),
            hard=hard,
            set_at=datetime.now(UTC),
        )
        words = f"{words_of(limit)} of {limit.usd} USD, {'hard' if hard else 'soft'}"
        entry = new_entry(*by, "setSpendingLimit", Outcome.DONE, subject_id=user_id, detail=words)
        await write_with(self._db, lambda: self._db.replace(limit), lambda _: entry)
        return limit

    async def remove(self, period: LimitPeriod, user_id: str | None, *, by: tuple[str, Role]) -> SpendingLimit:
        """End a limit, with its entry in the audit trail; returns it as it was. NotFoundError when there is none."""
        limit = await self._db.get(SpendingLimit, limit_id(period, user_id))
        if limit is None:
            raise NotFoundError(f"there is no such {_WORDS[period]} spending limit", ("period",))
        words = f"{words_of(limit)} of {limit.usd} USD, {'hard' if limit.hard else 'soft'}"
        entry = new_entry(*by, "removeSpendingLimit", Outcome.DONE, subject_id=user_id, detail=words)
        await write_with(self._db, lambda: self._db.delete(SpendingLimit, {"_id": limit.id}), lambda _: entry)
        return limit

    async def all(self, user_id: str | None) -> list[SpendingLimit]:
        """One user's, or for None those of the platform and of every user."""
        found, _ = await self._db.find_readable(SpendingLimit, {} if user_id is None else {"user_id": user_id})
        return sorted(found, key=lambda limit: (limit.user_id or "", limit.period))

    async def check(self, user_id: str) -> None:
        """Raises SpendingLimitError when a hard limit, this user's or the platform's, is reached.

        Of the platform's spending a user learns no more than that its limit is reached. UnreadableRecordError when this
        version cannot read one of them: what it allows is unknown.
        """
        for limit in await self._db.find(SpendingLimit, {"user_id": {"$in": [user_id, None]}, "hard": True}):
            spent = (await self.spending(limit)).total_usd
            if spent >= limit.usd:
                shown = spent if limit.user_id is not None else limit.usd
                raise SpendingLimitError(f"{words_of(limit)} of {limit.usd} USD is reached", limit.usd, shown)

    async def must_stop(self, now: datetime | None = None) -> MustStop:
        """Return whose hard limits are reached now. One that cannot be read stops nothing, and hinders no other."""
        everybody, users = None, {}
        limits, _ = await self._db.find_readable(SpendingLimit, {"hard": True})
        for limit in limits:
            if (await self.spending(limit, now)).total_usd < limit.usd:
                continue
            reason = f"{words_of(limit)} is reached"
            if limit.user_id is None:
                everybody = reason
            else:
                users[limit.user_id] = reason
        return MustStop(everybody, users)

    async def spending(self, limit: SpendingLimit, now: datetime | None = None) -> Report:
        """What counts against a limit: the metered costs of its running period."""
        now = now or datetime.now(UTC)
        return await self._reports.spent(period_of(limit.period, now), user_id=limit.user_id, now=now)


def period_of(period: LimitPeriod, now: datetime) -> Window:
    return PERIODS[period](now)


def words_of(limit: SpendingLimit) -> str:
    whose = "the platform's" if limit.user_id is None else "the"
    return f"{whose} {_WORDS[limit.period]} spending limit"


def checked_limit(usd: Decimal, field: str) -> Decimal:
    """The same amount, written out: 1000, not 1E+3. InvalidInputError names the field when it can be nobody's limit."""
    if not (usd.is_finite() and 0 < usd <= MAX_USD):
        raise InvalidInputError(f"{field} must be more than 0 and at most {MAX_USD} USD", (field,))
    exponent = usd.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_MAX_PLACES:
        raise InvalidInputError(f"{field} has at most {_MAX_PLACES} places after the point", (field,))
    return Decimal(format(usd, "f"))
