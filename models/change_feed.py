"""Publishes writes to listeners: one change stream per process and collection, fanned out in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar

from odmantic import Model

from errors import UnavailableError
from models.database import Database

M = TypeVar("M", bound=Model)
log = logging.getLogger(__name__)

WRITES: Final = ("insert", "update", "replace")
_PAUSES_S: Final = (0.1, 0.3, 1.0, 2.0)  # before the stream is reopened; the last one repeats


class Listener(Generic[M]):
    """Receives the documents of one key as they are written. Its backlog is bounded.

    `number` names the change that `next` returned last: it is the same for all listeners of the process. Documents that
    cannot be read are passed over if `skips_unreadable` is set.
    """

    def __init__(self, backlog: int, *, skips_unreadable: bool = False) -> None:
        self._waiting: asyncio.Queue[tuple[int, M | None]] = asyncio.Queue(backlog)
        self._fault: UnavailableError | None = None
        self.skips_unreadable = skips_unreadable
        self.number = 0

    async def next(self) -> M | None:
        """Wait for the next document. None means that some may have been missed: read the collection again.

        Raises UnavailableError if this listener was too slow, or if the feed is closed.
        """
        self.number, document = await self._waiting.get()
        if self._fault is not None:
            raise self._fault
        return document

    def put(self, document: M | None, number: int = 0) -> None:
        """Queue a document, or end this listener if its backlog is full."""
        try:
            self._waiting.put_nowait((number, document))
        except asyncio.QueueFull:
            self.end("this subscription was read too slowly and has ended: subscribe again")

    def end(self, reason: str) -> None:
        """End this listener with UnavailableError."""
        self._fault = UnavailableError(reason)
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait((0, None))


class ChangeFeed(Generic[M]):
    """Follows a collection while it has listeners. `keys` returns the keys whose listeners receive a document."""

    def __init__(
        self,
        db: Database,
        model: type[M],
        keys: str | Callable[[Mapping[str, Any]], Iterable[str]],
        operations: Sequence[str] = WRITES,
        *,
        backlog: int = 256,
        patience_s: float = 5.0,
    ) -> None:
        """`keys` may also be the name of the field that is the only key."""
        self._db = db
        self._model = model
        self._keys = _read_key(keys) if isinstance(keys, str) else keys
        self._published = 0
        self._pipeline = [{"$match": {"operationType": {"$in": list(operations)}}}]
        self._backlog = backlog
        self._patience_s = patience_s
        self._listeners: dict[str, set[Listener[M]]] = {}
        self._open = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def listeners(self) -> int:
        return sum(map(len, self._listeners.values()))

    @property
    def is_following(self) -> bool:
        """Return whether the change stream is open or being opened."""
        return self._following is not None

    @asynccontextmanager
    async def listen(self, key: str, *, skips_unreadable: bool = False) -> AsyncIterator[Listener[M]]:
        """Listen for documents that are written after the body began.

        Raises UnavailableError if the database does not respond.
        """
        listener: Listener[M] = Listener(self._backlog, skips_unreadable=skips_unreadable)
        self._listeners.setdefault(key, set()).add(listener)
        try:
            await self._wait_until_open()
            yield listener
        finally:
            self._forget(key, listener)

    async def close(self) -> None:
        """End all listeners and the change stream. May be repeated."""
        self._closed = True
        for listener in [each for group in self._listeners.values() for each in group]:
            listener.end("the service is shutting down: subscribe again")
        self._stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _wait_until_open(self) -> None:
        if self._closed:
            raise UnavailableError("the service is shutting down")
        if self._following is None:
            self._open = asyncio.Event()
            self._following = asyncio.create_task(self._follow(self._open), name=f"feed of {self._model.__name__}")
        try:
            async with asyncio.timeout(self._patience_s):
                await self._open.wait()
        except TimeoutError as error:
            raise UnavailableError("the database does not report changes now") from error

    def _forget(self, key: str, listener: Listener[M]) -> None:
        group = self._listeners[key]
        group.discard(listener)
        if not group:
            del self._listeners[key]
        if not self._listeners:
            self._stop()

    def _stop(self) -> None:
        if self._following is None:
            return
        self._following.cancel()
        self._ending.add(self._following)
        self._following.add_done_callback(self._ending.discard)
        self._following = None

    async def _follow(self, opened: asyncio.Event) -> None:
        """Keep the stream open and resume it after failures; if that is impossible, ask all listeners to read again."""
        token: Mapping[str, Any] | None = None
        failures = 0
        # Checked besides being cancelled: the driver can turn a cancellation into another error.
        while self._following is asyncio.current_task():
            try:
                async with self._db.watch(self._model, self._pipeline, token) as stream:
                    if failures:
                        self._report_reopened(with_gap=token is None)
                    failures = 0
                    opened.set()
                    while stream.alive and self._following is asyncio.current_task():
                        change = await stream.try_next()
                        token = stream.resume_token
                        if change is not None:
                            self._publish(change.get("fullDocument"))
                broke: Exception | None = None  # closed by the server: the collection was dropped or renamed
                token = None
            except UnavailableError as error:
                broke = error
            except Exception as error:  # the loop must not end; the error is logged
                broke, token = error, None  # the stream cannot be resumed
            opened.clear()
            if not failures:
                log.warning("change stream failed", extra={"collection": self._model.__name__}, exc_info=broke)
            failures += 1
            await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1])

    def _report_reopened(self, *, with_gap: bool) -> None:
        log.warning("change stream reopened", extra={"collection": self._model.__name__})
        if with_gap:
            for listener in [each for group in self._listeners.values() for each in group]:
                listener.put(None)

    def _publish(self, raw: dict[str, Any] | None) -> None:
        listeners = [] if raw is None else [each for key in self._keys(raw) for each in self._listeners.get(key, ())]
        if raw is None or not listeners:
            return
        try:
            document: M | None = self._model.model_validate_doc(raw)
        except Exception:  # odmantic's errors depend on the defect
            log.warning("record cannot be read", extra={"record": f"{self._model.__name__} {raw['_id']}"})
            document = None  # the listener reads it and meets the error
        self._published += 1
        for listener in listeners:
            if document is not None or not listener.skips_unreadable:
                listener.put(document, self._published)


def _read_key(field: str) -> Callable[[Mapping[str, Any]], Iterable[str]]:
    return lambda raw: (raw[field],)
