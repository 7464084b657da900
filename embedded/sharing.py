"""Children that several service processes of one machine share: the first starts them, the last ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from embedded.child import Child, ChildSpec, EmbeddedError, end_holder
from embedded.locks import FileLock

TURN_S: Final = 60.0


class SharedChildren:
    """Between `async with` and its end these children run, whoever started them.

    Every service process holds `users.lock` shared. Who can take it alone is the only one: on its way in it finds
    what a killed process left behind, on its way out it ends everything. `turn.lock` lets one at a time find out.
    """

    def __init__(self, folder: Path, specs: Callable[[], Awaitable[Sequence[ChildSpec]]]) -> None:
        self._folder = folder
        self._specs = specs
        self._children: dict[str, Child] = {}
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> dict[str, Child]:
        """The children by name, all of them answering."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._users = FileLock(self._folder / "users.lock")
        self._turn = FileLock(self._folder / "turn.lock")
        try:
            await self._join()
        except BaseException:
            await self._leave()
            raise
        return self._children

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _join(self) -> None:
        async with self._our_turn():
            alone = self._users.take()
            # Shared from here on. Nobody can come between: who wants it alone waits for its turn.
            self._users.take(shared=True)
            for spec in await self._specs():
                self._children[spec.name] = Child(spec)
            starts = [child.start(alone=alone) for child in self._children.values()]
            for outcome in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
        self._watchers = [asyncio.create_task(child.watch()) for child in self._children.values()]

    async def _leave(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        async with self._our_turn():
            self._users.release()
            if self._users.take():
                await self._end_all()
        for child in self._children.values():
            child.close()
        self._users.close()
        self._turn.close()

    async def _end_all(self) -> None:
        """Ours, and those that others started and left to us."""
        others = [FileLock(path) for path in self._folder.glob("*/lock") if path.parent.name not in self._children]
        ours = [child.end() for child in self._children.values()]
        await asyncio.gather(*ours, *(end_holder(lock) for lock in others))
        for lock in others:
            lock.close()

    @asynccontextmanager
    async def _our_turn(self) -> AsyncIterator[None]:
        """One at a time starts or ends children."""
        if not await self._turn.wait(TURN_S):
            raise EmbeddedError(f"DATA_DIR: another process keeps {self._turn.path} to itself")
        try:
            yield
        finally:
            self._turn.release()
