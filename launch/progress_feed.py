"""Streams a launch's progress to its followers: past events, then live ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from models.batches import Batches
from models.change_feed import ChangeFeed, Listener
from models.database import DESCENDING, Database
from models.launches import ENDED, LaunchEvent

_REPLAYS_AT_ONCE: Final = 25


class ProgressFeed:
    """One change stream per process for all followers. Any process can serve any launch."""

    def __init__(self, db: Database, *, backlog: int = 256, patience_s: float = 5.0, silence_s: float = 15.0) -> None:
        self._silence_s = silence_s
        self._db = db
        self._replays: Batches[tuple[str, int], dict[int, LaunchEvent]] = Batches(
            db.turn, self._read, most=_REPLAYS_AT_ONCE
        )
        self._feed = ChangeFeed(db, LaunchEvent, "launch_id", ["insert"], backlog=backlog, patience_s=patience_s)

    @property
    def followers(self) -> int:
        return self._feed.listeners

    @property
    def following(self) -> bool:
        """Return whether the change stream is open or being opened."""
        return self._feed.is_following

    async def close(self) -> None:
        """End all followers with UnavailableError, and the change stream."""
        await self._feed.close()

    async def follow(self, launch_id: str, after: int = 0) -> AsyncGenerator[LaunchEvent, None]:
        """Yield the launch's events after `after`, in order, without gaps or duplicates; end after the last one.

        Raises UnavailableError if the database is unavailable at the start or the follower is too slow. Close the
        generator when done.
        """
        async with self._feed.listen(launch_id) as live:
            ahead = await self._read_past(launch_id, after)
            if after and not ahead and await self._has_ended(launch_id, after):
                return
            while True:
                while (event := ahead.pop(after + 1, None)) is not None:
                    after = event.sequence
                    yield event
                    if event.status in ENDED:
                        return
                event = await self._next(live)
                if event is None:
                    ahead |= await self._read_past(launch_id, after)
                elif event.sequence > after:
                    ahead[event.sequence] = event
                    if event.sequence > after + 1:
                        ahead |= await self._read_past(launch_id, after)
                elif event.status in ENDED:
                    return

    async def _next(self, live: Listener[LaunchEvent]) -> LaunchEvent | None:
        """Return the next event, or None if the collection must be read again.

        None is also returned after a silence, because a launch's last event must not be lost if the change stream
        missed it.
        """
        try:
            async with asyncio.timeout(self._silence_s):
                return await live.next()
        except TimeoutError:
            return None

    async def _read_past(self, launch_id: str, after: int) -> dict[int, LaunchEvent]:
        return dict(await self._replays.get((launch_id, after)) or {})

    async def _read(self, wanted: list[tuple[str, int]]) -> dict[tuple[str, int], dict[int, LaunchEvent]]:
        """Return past events of launches, with one command for all that continue after the same number."""
        events: dict[tuple[str, int], dict[int, LaunchEvent]] = {key: {} for key in wanted}
        for after in {after for _, after in wanted}:
            launches = [launch_id for launch_id, number in wanted if number == after]
            past = {"launch_id": {"$in": launches}, "sequence": {"$gt": after}}
            for event in await self._db.find(LaunchEvent, past):
                events[event.launch_id, after][event.sequence] = event
        return events

    async def _has_ended(self, launch_id: str, after: int) -> bool:
        """Return whether the last event is among those up to `after`. A later one is still to be sent."""
        last = await self._db.find(LaunchEvent, {"launch_id": launch_id}, [("sequence", DESCENDING)], limit=1)
        return bool(last) and last[0].status in ENDED and last[0].sequence <= after
