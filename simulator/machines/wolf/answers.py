"""Answers of Wolf, over its socket and its HTTP ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.clock import Clock

KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    @classmethod
    def json(cls, content: Mapping[str, Any], status: int = 200) -> Answer:
        return cls(status, "application/json", json.dumps(content).encode())

    @classmethod
    def text(cls, content: str, status: int = 200, content_type: str = "text/plain") -> Answer:
        return cls(status, content_type, content.encode())

    @classmethod
    def failure(cls, error: str, status: int = 500) -> Answer:
        return cls.json({"success": False, "error": error}, status)


class Events:
    """The events of Wolf, sent to everyone that listens at that moment."""

    def __init__(self) -> None:
        self._listeners: set[Callable[[bytes | None], None]] = set()

    @property
    def heard(self) -> bool:
        """Return whether there is a listener."""
        return bool(self._listeners)

    def send(self, name: str, content: Mapping[str, Any]) -> None:
        chunk = f"event: wolf::core::events::{name}\ndata: {json.dumps(content)}\n\n".encode()
        for listener in list(self._listeners):
            listener(chunk)

    def end(self) -> None:
        for listener in list(self._listeners):
            listener(None)

    @contextlib.contextmanager
    def listening(self, listener: Callable[[bytes | None], None]) -> Any:
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)


class EventStream:
    """Server-sent events, beginning now."""

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    async def until(self, limit_s: float | None) -> AsyncIterator[bytes]:
        """Yield chunks until Wolf ends, or for `limit_s` simulated seconds."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        ends_at = None if limit_s is None else self._clock.now() + limit_s
        with self._events.listening(queue.put_nowait):
            while True:
                left = KEEP_ALIVE_S if ends_at is None else min(KEEP_ALIVE_S, ends_at - self._clock.now())
                if left <= 0:
                    return
                try:
                    async with asyncio.timeout(max(self._clock.real_seconds(left), 0.01)):
                        chunk = await queue.get()
                except TimeoutError:
                    yield b":keepalive\n\n"
                    continue
                if chunk is None:
                    return
                yield chunk
