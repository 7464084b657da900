"""Streams a machine's state to its followers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from models.change_feed import ChangeFeed
from models.database import Database
from models.vms import ENDED, Vm


class VmFeed:
    """One change stream per process for all followers. Any process can serve any VM."""

    def __init__(self, db: Database, *, backlog: int = 256, patience_s: float = 5.0) -> None:
        self._db = db
        self._feed = ChangeFeed(db, Vm, "_id", backlog=backlog, patience_s=patience_s)

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
            shown: Vm | None = None
            while (vm := await self._db.get(Vm, vm_id)) is not None:
                if vm != shown:
                    yield (shown := vm)
                if vm.status in ENDED:
                    return
                await live.next()
