"""Checks whether the database accepts writes, with one small document per process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from odmantic import Field, Model
from pymongo import ASCENDING, IndexModel

from errors import ConflictError, DatabaseFaultError, UnavailableError
from models.database import Database

_KEPT_FOR: Final = timedelta(minutes=10)


class WriteCheck(Model):
    """The latest write probe of a process. Expires soon after the process has ended."""

    id: str = Field(primary_field=True)
    expires_at: datetime

    model_config = {
        "collection": "write_checks",
        "indexes": lambda: [IndexModel([("expires_at", ASCENDING)], name="write_checks_end", expireAfterSeconds=0)],
    }


class WriteProbe:
    """Writes at most once in `every_s`, shared by all callers, and waits at most `patience_s` for it."""

    def __init__(
        self, db: Database, *, every_s: float = 10.0, patience_s: float = 2.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._db = db
        self._every_s = every_s
        self._patience_s = patience_s
        self._clock = clock
        self._process_id = secrets.token_hex(8)
        self._asking = asyncio.Lock()
        self._tried_at = float("-inf")
        self.writable = False
        self.has_written = False  # since the process began

    async def check(self) -> bool:
        """Return whether the latest write succeeded; writes again if that was long ago."""
        async with self._asking:
            if self._clock() - self._tried_at >= self._every_s:
                self.writable = await self._write()
                self.has_written = self.has_written or self.writable
                self._tried_at = self._clock()
        return self.writable

    async def read(self) -> None:
        """Read this process's document. Raises UnavailableError if the database does not respond."""
        await self._db.get(WriteCheck, self._process_id)

    async def _write(self) -> bool:
        changes = {"$set": {"expires_at": datetime.now(UTC) + _KEPT_FOR}}
        try:
            async with asyncio.timeout(self._patience_s):
                await self._db.upsert(WriteCheck, {"_id": self._process_id}, changes)
        except (UnavailableError, DatabaseFaultError, ConflictError, TimeoutError):
            return False
        return True
