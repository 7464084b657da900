"""Children that service processes on one machine share: the first starts them, the last ends them."""

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
    """A context manager in which the children run.

    Every service process holds `users.lock` shared. A process that can take it exclusively is the only one: on entry it
    takes over what a killed process left behind, on exit it ends all children. `turn.lock` serialises entry and exit.
    """

    def __init__(self, folder: Path, specs: Callable[[], Awaitable[Sequence[ChildSpec]]]) -> None:
        self._folder = folder
        self._specs = specs
        self._children: dict[str, Child] = {}
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> dict[str, Child]:
        """Return the children by name, once all of them respond."""
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
            # Shared from here on. No other process can take it exclusively in between: that needs the turn.
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
        """End our children, and those that other processes started and left behind."""
        others = [FileLock(path) for path in self._folder.glob("*/lock") if path.parent.name not in self._children]
        ours = [child.end() for child in self._children.values()]
        await asyncio.gather(*ours, *(end_holder(lock) for lock in others))
        for lock in others:
            lock.close()

    @asynccontextmanager
    async def _our_turn(self) -> AsyncIterator[None]:
        """Wait for the right to start or end children. Raise EmbeddedError if it takes too long."""
        if not await self._turn.wait(TURN_S):
            raise EmbeddedError(f"DATA_DIR: another process holds {self._turn.path}")
        try:
            yield
        finally:
            self._turn.release()
