"""Streams the state of launches to those who follow all of a user, or all there are."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

from models.change_feed import ChangeFeed
from models.database import Database
from models.launches import Launch
from models.owned_changes import Change, OwnedChanges, keys_of


class LaunchFeed:
    """One change stream per process for all followers. Any process can serve any launch."""

    def __init__(self, db: Database) -> None:
        self._feed = ChangeFeed(db, Launch, keys_of)
        self._changes = OwnedChanges(db, Launch, self._feed)

    @property
    def followers(self) -> int:
        return self._feed.listeners

    async def close(self) -> None:
        """End all followers with UnavailableError, and the change stream."""
        await self._feed.close()

    def follow_all(self, user_id: str | None, after: datetime | None) -> AsyncGenerator[Change[Launch], None]:
        """Yield every change to the launches of a user, or of all users, as OwnedChanges does."""
        return self._changes.follow(user_id, after)
