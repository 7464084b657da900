"""Limits the number of idle keep-alive connections."""

from __future__ import annotations

from typing import Protocol


class Closable(Protocol):
    def close_idle(self) -> None:
        """Close the connection. It has no request in progress."""


class IdleConnections:
    """Closes the connection that has been idle for longest when there are more than `limit`."""

    def __init__(self, limit: int = 500) -> None:
        self._limit = limit
        self._idle: dict[Closable, None] = {}  # in the order in which they became idle

    def add(self, connection: Closable) -> None:
        """Add a connection that became idle, and close the oldest one if there are too many."""
        self._idle[connection] = None
        if len(self._idle) > self._limit:
            oldest = next(iter(self._idle))
            self.remove(oldest)
            oldest.close_idle()

    def remove(self, connection: Closable) -> None:
        """Remove a connection that is in use again or closed."""
        self._idle.pop(connection, None)
