"""Lease of one instance across all workers, and transfer of its state between a home and the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, Protocol, TypeVar

from errors import ProviderBusyError
from providers.cloudypad.state_files import InstanceHome, Signature

log = logging.getLogger(__name__)

T = TypeVar("T")

LEASE_S: Final = 15.0
_ENDING_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored state and its version. An empty parcel means that nothing has been created under the lease."""

    version: int
    parcel: bytes


class StateStore(Protocol):
    """Store of instance states, shared by all workers.

    Methods raise ProviderBusyError if it does not respond. A lease expires by itself; only its holder may change the
    state.
    """

    async def take(self, name: str, holder: str, for_s: float) -> bool:
        """Lease the instance, known or new. Returns False if another holder has the lease."""
        ...

    async def prolong(self, name: str, holder: str, for_s: float) -> bool:
        """Extend the lease. Returns False if it was given to another holder."""
        ...

    async def give_back(self, name: str, holder: str) -> None:
        """End the lease. An instance without a stored state is deleted from the store."""
        ...

    async def load(self, name: str) -> Stored | None: ...

    async def save(self, name: str, holder: str, provider: str, parcel: bytes) -> int | None:
        """Store the state and return its new version; None if another holder has the lease and nothing was stored."""
        ...

    async def remove(self, name: str, holder: str) -> None: ...

    async def versions(self, provider: str) -> dict[str, int]:
        """Return the names and versions of the stored instances of one CloudyPad provider."""
        ...


class InstanceLease:
    """The lease of one instance, and the transfer of its state."""

    def __init__(self, store: StateStore, name: str, files: InstanceHome, *, look_every_s: float = 1.0) -> None:
        self._store = store
        self._name = name
        self._files = files
        self._holder = token_hex(8)
        self._look_every_s = look_every_s
        self._stored: Signature | None = None  # None: the files here may be newer

    @contextlib.asynccontextmanager
    async def hold(self, within_s: float) -> AsyncIterator[None]:
        """Hold the lease with the newest state in this home; afterwards the store has the newest state."""
        await self._take(within_s)
        try:
            await self.fetch()
            yield
        finally:
            with contextlib.suppress(ProviderBusyError, TimeoutError):  # the lease expires by itself
                async with asyncio.timeout(_ENDING_S):
                    await self._store.give_back(self._name, self._holder)

    async def run_leased(self, work: Awaitable[T]) -> T:
        """Run the work while extending the lease and storing every change of the state.

        Cancels the work and raises ProviderBusyError if the lease is lost.
        """
        over = asyncio.Event()
        working, keeping = asyncio.ensure_future(work), asyncio.create_task(self._keep_leased(over))
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                raise ProviderBusyError(f"another worker has taken over {self._name}")
            return working.result()
        finally:
            # Signalled and not cancelled: a database call that is interrupted may have been carried out.
            over.set()
            working.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)
            await asyncio.shield(self._store_last_changes())

    async def fetch(self) -> None:
        """Bring the newest state here. Files that continued from the stored version are newer and are kept.

        A state that a full disk cut off is replaced by the stored one; otherwise CloudyPad could never read it again.
        """
        stored = await self._store.load(self._name)
        broken = self._files.is_broken
        if stored is None or not stored.parcel:
            if self._files.version:
                self._files.clear()  # removed by another worker
            elif broken:
                self._files.discard_broken_state()
        elif broken or stored.version != self._files.version:
            self._files.unpack(stored.parcel)
            self._files.record_version(stored.version)
            self._stored = self._files.signature()

    async def _take(self, within_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while not await self._store.take(self._name, self._holder, LEASE_S):
            if asyncio.get_running_loop().time() >= deadline:
                raise ProviderBusyError(f"another worker's run on {self._name} has not ended")
            await asyncio.sleep(self._look_every_s)

    async def _keep_leased(self, over: asyncio.Event) -> None:
        """Extend the lease until the work is over or the lease is lost.

        While the store is unavailable, no other worker can take the lease either.
        """
        now = asyncio.get_running_loop().time
        prolonged_at = now()
        while not await _wait_until_set(over, self._look_every_s):
            try:
                if not await self._store_changes():
                    return
                if now() - prolonged_at >= LEASE_S / 3:
                    if not await self._store.prolong(self._name, self._holder, LEASE_S):
                        return
                    prolonged_at = now()
            except ProviderBusyError as error:
                log.warning("cannot store instance state, retrying", extra={"instance": self._name, "why": error})

    async def _store_last_changes(self) -> None:
        try:
            async with asyncio.timeout(_ENDING_S):
                await self._store_changes()
        except (ProviderBusyError, TimeoutError) as error:
            # The next run in this home finds that its files are newer than the store's, and stores them.
            log.warning("instance state was not stored", extra={"instance": self._name, "why": str(error)})

    async def _store_changes(self) -> bool:
        """Store changed files. Returns False if another holder has the lease."""
        signature = self._files.signature()
        if not self._files.exists:
            if self._files.version:
                await self._store.remove(self._name, self._holder)
                self._files.clear()
            self._stored = ()
            return True
        if signature == self._stored:
            return True
        parcel = self._files.pack()
        if parcel is None:
            return True
        version = await self._store.save(self._name, self._holder, self._files.provider, parcel)
        if version is None:
            return False
        self._files.record_version(version)
        self._stored = signature
        return True


async def _wait_until_set(event: asyncio.Event, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()
