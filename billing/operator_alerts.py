"""Raises, clears, reads and follows alerts for operators. Works in any process; every call may be repeated."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from errors import ConflictError, UnreadableRecordError
from models.change_feed import ChangeFeed
from models.database import DESCENDING, Database
from models.limits import AlertLevel
from models.operator_alerts import OPERATOR_ALERTS, OperatorAlert, OperatorAlertCode

log = logging.getLogger(__name__)


class OperatorAlerts:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def raise_alert(
        self, level: AlertLevel, code: OperatorAlertCode, subject_id: str, message: str, about: Sequence[str] = ()
    ) -> bool:
        """Open an alert, unless one of this level that covers all of `about` is open; return whether this call did.

        Any other open alert of the kind is cleared and replaced. Messages never carry credentials or text that a caller
        chose.
        """
        try:
            alert = await self.find_open(code, subject_id)
        except UnreadableRecordError:
            return False  # one is open, and what it says is unknown
        if alert is not None:
            if alert.level is level and set(about) <= set(alert.about):
                return False
            about = sorted({*about, *alert.about})
            await self._close(alert)
        now = datetime.now(UTC)
        key = _key(code, subject_id)
        alert = OperatorAlert(
            id=f"{key}:{now:%Y%m%dT%H%M%S.%f}",
            key=key,
            level=level,
            code=code,
            message=message,
            subject_id=subject_id,
            raised_at=now,
            about=list(about),
        )
        try:
            await self._db.insert(alert)
        except ConflictError:
            return False  # another process opened it at the same time
        log.warning("operator alert raised", extra={"code": code, "subject": subject_id, "why": message})
        return True

    async def clear(self, code: OperatorAlertCode, subject_id: str) -> bool:
        """Close the open alert of this kind. Returns whether there was one."""
        try:
            alert = await self.find_open(code, subject_id)
        except UnreadableRecordError:
            return False
        return alert is not None and await self._close(alert)

    async def find_open(self, code: OperatorAlertCode, subject_id: str) -> OperatorAlert | None:
        return await self._db.find_one(OperatorAlert, {"key": _key(code, subject_id)})

    async def is_open(self, code: OperatorAlertCode, subject_id: str) -> bool:
        """Return whether there is an open alert of this kind, also if it cannot be read."""
        return await self._db.count(OperatorAlert, {"key": _key(code, subject_id)}) > 0

    async def find_open_of(self, code: OperatorAlertCode) -> list[OperatorAlert]:
        """Return the readable open alerts of one kind."""
        alerts, _ = await self._db.find_readable(OperatorAlert, {"cleared_at": None, "code": code})
        return alerts

    async def find_newest(self, *, with_cleared: bool, limit: int) -> list[OperatorAlert]:
        """Return at most `limit` alerts, newest first."""
        query = {} if with_cleared else {"cleared_at": None}
        found, _ = await self._db.find_readable(OperatorAlert, query, sort=[("raised_at", DESCENDING)], limit=limit)
        return found

    async def _close(self, alert: OperatorAlert) -> bool:
        changes = {"key": alert.id, "cleared_at": datetime.now(UTC), "cleared_told": False}
        closed = await self._db.update(OperatorAlert, {"_id": alert.id, "cleared_at": None}, {"$set": changes})
        if closed is not None:
            log.info("operator alert cleared", extra={"code": alert.code, "subject": alert.subject_id})
        return closed is not None


class OperatorAlertFeed:
    """Alerts of all processes, through one change stream."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._feed = ChangeFeed(db, OperatorAlert, "channel")

    @property
    def followers(self) -> int:
        return self._feed.listeners

    async def close(self) -> None:
        await self._feed.close()

    async def follow(self) -> AsyncGenerator[OperatorAlert, None]:
        """Yield each alert when it is raised and once more when it is cleared, from now on."""
        since = datetime.now(UTC)
        since = since.replace(microsecond=since.microsecond // 1000 * 1000)  # as precise as stored times
        seen: set[tuple[str, bool]] = set()
        async with self._feed.listen(OPERATOR_ALERTS) as live:
            while True:
                alert = await live.next()
                for each in await self._since(since) if alert is None else [alert]:
                    event = (each.id, each.cleared_at is not None)
                    if event not in seen and (each.cleared_at or each.raised_at) >= since:
                        seen.add(event)
                        yield each

    async def _since(self, moment: datetime) -> list[OperatorAlert]:
        after = {"$gte": moment}
        raised, _ = await self._db.find_readable(OperatorAlert, {"raised_at": after}, sort=[("raised_at", 1)])
        cleared, _ = await self._db.find_readable(OperatorAlert, {"cleared_at": after}, sort=[("cleared_at", 1)])
        return [*raised, *(each for each in cleared if each.raised_at < moment)]


def _key(code: OperatorAlertCode, subject_id: str) -> str:
    return f"{code}:{subject_id}"
