"""CloudyPad's instance states, shared by all workers, and the leases on them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from odmantic import Field, Index, Model

from errors import ConflictError, ProviderBusyError, UnavailableError
from models.database import Database, Document
from providers.cloudypad.instance_lease import Stored

_NOBODY: Final = ""
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CloudyPadState(Model):
    """The state of one instance.

    `parcel` is packed by providers.cloudypad.state_files and empty until something was created. `version` grows with
    every write, even if a name is removed and used again. `holder` has the lease until `held_until`.
    """

    id: str = Field(primary_field=True)  # the instance's name
    provider: str = ""
    parcel: bytes = b""
    version: int = 0
    holder: str = _NOBODY
    held_until: datetime = _LONG_AGO

    model_config = {
        "collection": "cloudypad_states",
        "indexes": lambda: [Index(CloudyPadState.provider, name="cloudypad_states_by_provider")],
    }


class CloudyPadStates:
    """The StateStore of providers.cloudypad.instance_lease."""

    def __init__(self, db: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = db
        self._now = now

    async def take(self, name: str, holder: str, for_s: float) -> bool:
        now = self._now()
        until = now + timedelta(seconds=for_s)
        with _as_busy():
            free = {"_id": name, "held_until": {"$lt": now}}
            lease = {"$set": {"holder": holder, "held_until": until}}
            if await self._db.update(CloudyPadState, free, lease) is not None:
                return True
            try:
                await self._db.insert(CloudyPadState(id=name, holder=holder, held_until=until))
            except ConflictError:
                return False
        return True

    async def prolong(self, name: str, holder: str, for_s: float) -> bool:
        until = self._now() + timedelta(seconds=for_s)
        with _as_busy():
            guard = {"_id": name, "holder": holder}
            return await self._db.update(CloudyPadState, guard, {"$set": {"held_until": until}}) is not None

    async def give_back(self, name: str, holder: str) -> None:
        with _as_busy():
            if await self._db.delete(CloudyPadState, {"_id": name, "holder": holder, "provider": ""}) == 0:
                free = {"holder": _NOBODY, "held_until": _LONG_AGO}
                await self._db.update(CloudyPadState, {"_id": name, "holder": holder}, {"$set": free})

    async def load(self, name: str) -> Stored | None:
        with _as_busy():
            row = await self._db.get(CloudyPadState, name)
        return None if row is None else Stored(row.version, row.parcel)

    async def save(self, name: str, holder: str, provider: str, parcel: bytes) -> int | None:
        with _as_busy():
            row = await self._db.get(CloudyPadState, name)
            if row is None or row.holder != holder:
                return None
            version = max(row.version + 1, int(self._now().timestamp() * 1000))
            written = {"provider": provider, "parcel": parcel, "version": version}
            guard = {"_id": name, "holder": holder}
            return version if await self._db.update(CloudyPadState, guard, {"$set": written}) is not None else None

    async def remove(self, name: str, holder: str) -> None:
        with _as_busy():
            emptied = {"provider": "", "parcel": b""}
            await self._db.update(CloudyPadState, {"_id": name, "holder": holder}, {"$set": emptied})

    async def versions(self, provider: str) -> dict[str, int]:
        with _as_busy():
            rows = await self._db.aggregate(
                CloudyPadState, [{"$match": {"provider": provider}}, {"$project": {"version": 1}}]
            )
        return {str(row["_id"]): _version(row) for row in rows}


def _version(row: Document) -> int:
    """Return -1 for a state that this version cannot read: it exists, and only loading it says what is wrong."""
    version = row.get("version")
    return version if isinstance(version, int) else -1


@contextlib.contextmanager
def _as_busy() -> Iterator[None]:
    """Turn an unavailable database into ProviderBusyError, which code that talks to clouds handles."""
    try:
        yield
    except UnavailableError as error:
        raise ProviderBusyError(error.message) from error
