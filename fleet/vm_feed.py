"""Streams the state of machines to their followers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

from models.change_feed import ChangeFeed
from models.database import Database
from models.owned_changes import Change, OwnedChanges, keys_of
from models.vms import ENDED, Vm


class VmFeed:
    """One change stream per process for all followers. Any process can serve any VM."""

    def __init__(self, db: Database, *, backlog: int = 256, patience_s: float = 5.0) -> None:
        self._db = db
        self._feed = ChangeFeed(db, Vm, keys_of, backlog=backlog, patience_s=patience_s)
        self._changes = OwnedChanges(db, Vm, self._feed)

    @property
    def followers(self) -> int:
        return self._feed.listeners

    async def close(self) -> None:
        """End all followers with UnavailableError, and the change stream."""
        await self._feed.close()

    async def follow(self, vm_id: str) -> AsyncGenerator[Vm, None]:
        """Yield the VM now and after every change, until it has ended. Close the generator when done.

        A change only triggers a read; a later read is never older than an earlier one.
        """
        async with self._feed.listen(vm_id) as live:
            shown: dict[str, Any] | None = None
            while (vm := await self._db.get(Vm, vm_id)) is not None:
                if (now := _without_time(vm)) != shown:
                    shown = now
                    yield vm
                if vm.status in ENDED:
                    return
                await live.next()

    def follow_all(self, user_id: str | None, after: datetime | None) -> AsyncGenerator[Change[Vm], None]:
        """Yield every change to the VMs of a user, or of all users, as OwnedChanges does."""
        return self._changes.follow(user_id, after)


def _without_time(vm: Vm) -> dict[str, Any]:
    """Return the VM's fields, without when it was written: a repeated write changes nothing else."""
    return {name: value for name, value in vars(vm).items() if name != "changed_at"}
