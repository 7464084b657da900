"""One instance, one worker: a lease that all machines see, and the instance's state where the next worker finds it."""

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
_LAST_WORDS_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A parcel as it was stored; an empty one means that nothing was made under the lease yet."""

    version: int
    parcel: bytes


class StateStore(Protocol):
    """Where the states of instances are kept, for all workers. Raises ProviderBusyError when it does not answer.

    A lease ends by itself after its time; only who holds it changes the state.
    """

    async def take(self, name: str, holder: str, for_s: float) -> bool:
        """Lease the instance, known or new. False: somebody else holds it."""
        ...

    async def prolong(self, name: str, holder: str, for_s: float) -> bool:
        """False: it was given to somebody else meanwhile."""
        ...

    async def give_back(self, name: str, holder: str) -> None:
        """End the lease. An instance of which nothing was stored is forgotten."""
        ...

    async def load(self, name: str) -> Stored | None: ...

    async def save(self, name: str, holder: str, provider: str, parcel: bytes) -> int | None:
        """Store it and say which version it became. None: the lease is somebody else's, nothing was stored."""
        ...

    async def remove(self, name: str, holder: str) -> None: ...

    async def versions(self, provider: str) -> dict[str, int]:
        """Those that a state was stored of, of one CloudyPad provider, by their names."""
        ...


class InstanceLease:
    """The lease on one instance, and its state on the way between a home and the store."""

    def __init__(self, store: StateStore, name: str, files: InstanceHome, *, look_every_s: float = 1.0) -> None:
        self._store = store
        self._name = name
        self._files = files
        self._holder = token_hex(8)
        self._look_every_s = look_every_s
        self._stored: Signature | None = None  # None: it may be that the files here are newer

    @contextlib.asynccontextmanager
    async def held(self, within_s: float) -> AsyncIterator[None]:
        """Alone on the instance in all workers, with its newest state here; afterwards the store has the newest."""
        await self._take(within_s)
        try:
            await self.fetch()
            yield
        finally:
            with contextlib.suppress(ProviderBusyError, TimeoutError):  # the lease ends by itself
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._store.give_back(self._name, self._holder)

    async def during(self, work: Awaitable[T]) -> T:
        """Do it, while the lease is prolonged and every change of the state is stored. Ends the work and raises
        ProviderBusyError when the lease was lost."""
        over = asyncio.Event()
        working, keeping = asyncio.ensure_future(work), asyncio.create_task(self._keep(over))
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                raise ProviderBusyError(f"another worker went on with {self._name}")
            return working.result()
        finally:
            # Told and not cancelled: a database call that is cut off may have been carried out.
            over.set()
            working.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)
            await asyncio.shield(self._last_words())

    async def fetch(self) -> None:
        """Bring the newest state here. Files that went on from the stored version are newer than it and stay."""
        stored = await self._store.load(self._name)
        if stored is None or not stored.parcel:
            if self._files.version:
                self._files.clear()  # removed by another worker
        elif stored.version != self._files.version:
            self._files.unpack(stored.parcel)
            self._files.began_from(stored.version)
            self._stored = self._files.signature()

    async def _take(self, within_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while not await self._store.take(self._name, self._holder, LEASE_S):
            if asyncio.get_running_loop().time() >= deadline:
                raise ProviderBusyError(f"another worker's run on {self._name} does not end")
            await asyncio.sleep(self._look_every_s)

    async def _keep(self, over: asyncio.Event) -> None:
        """Until the work is over, or the lease somebody else's. While the store is away nobody can take it either."""
        now = asyncio.get_running_loop().time
        prolonged_at = now()
        while not await _is_set(over, self._look_every_s):
            try:
                if not await self._store_changes():
                    return
                if now() - prolonged_at >= LEASE_S / 3:
                    if not await self._store.prolong(self._name, self._holder, LEASE_S):
                        return
                    prolonged_at = now()
            except ProviderBusyError as error:
                log.warning("an instance's state cannot be stored now", extra={"instance": self._name, "why": error})

    async def _last_words(self) -> None:
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._store_changes()
        except (ProviderBusyError, TimeoutError) as error:
            # The next run in this home finds newer files here than in the store, and stores them then.
            log.warning("an instance's state was not stored", extra={"instance": self._name, "why": str(error)})

    async def _store_changes(self) -> bool:
        """False: the lease is somebody else's."""
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
        self._files.began_from(version)
        self._stored = signature
        return True


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()
