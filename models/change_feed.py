"""What is written, told to whoever listens: one change stream per process and collection, fanned out in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar

from odmantic import Model

from errors import UnavailableError
from models.database import Database

M = TypeVar("M", bound=Model)
log = logging.getLogger(__name__)

WRITES: Final = ("insert", "update", "replace")
_PAUSES_S: Final = (0.1, 0.3, 1.0, 2.0)  # before the stream is opened again; the last one repeats


class Listener(Generic[M]):
    """The documents of one key, as they are written. It holds a bounded number that were not taken yet."""

    def __init__(self, backlog: int) -> None:
        self._waiting: asyncio.Queue[M | None] = asyncio.Queue(backlog)
        self._fault: UnavailableError | None = None

    async def next(self) -> M | None:
        """Wait for the next document. None: some may have been missed, read the collection again.

        Raises UnavailableError when this listener took them too slowly, or when the feed is closed.
        """
        document = await self._waiting.get()
        if self._fault is not None:
            raise self._fault
        return document

    def tell(self, document: M | None) -> None:
        try:
            self._waiting.put_nowait(document)
        except asyncio.QueueFull:
            self.end("this subscription was read too slowly and is ended: subscribe again")

    def end(self, reason: str) -> None:
        self._fault = UnavailableError(reason)
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)


class ChangeFeed(Generic[M]):
    """Follows a collection while somebody listens, and only then. `key_field` tells whom a document is for."""

    def __init__(
        self,
        db: Database,
        model: type[M],
        key_field: str,
        operations: Sequence[str] = WRITES,
        *,
        backlog: int = 256,
        patience_s: float = 5.0,
    ) -> None:
        self._db = db
        self._model = model
        self._key_field = key_field
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
    def following(self) -> bool:
        """Whether the change stream is kept open now."""
        return self._following is not None

    @asynccontextmanager
    async def listen(self, key: str) -> AsyncIterator[Listener[M]]:
        """Whatever is written after the body began is told. Raises UnavailableError when the database is away."""
        listener: Listener[M] = Listener(self._backlog)
        self._listeners.setdefault(key, set()).add(listener)
        try:
            await self._opened()
            yield listener
        finally:
            self._forget(key, listener)

    async def close(self) -> None:
        """End all listeners and the change stream. May be repeated."""
        self._closed = True
        for listener in [each for group in self._listeners.values() for each in group]:
            listener.end("the service is going down: subscribe again")
        self._stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _opened(self) -> None:
        if self._closed:
            raise UnavailableError("the service is going down")
        if self._following is None:
            self._open = asyncio.Event()
            self._following = asyncio.create_task(self._follow(self._open), name=f"feed of {self._model.__name__}")
        try:
            async with asyncio.timeout(self._patience_s):
                await self._open.wait()
        except TimeoutError as error:
            raise UnavailableError("the database does not tell of changes now") from error

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
        """Keep the stream open, going on where it broke; where that is not possible, all are told to read again."""
        token: Mapping[str, Any] | None = None
        failures = 0
        # Asked for besides being cancelled: the driver can turn a cancellation into an error of its own.
        while self._following is asyncio.current_task():
            try:
                async with self._db.watch(self._model, self._pipeline, token) as stream:
                    if failures:
                        self._went_on(with_gap=token is None)
                    failures = 0
                    opened.set()
                    while stream.alive and self._following is asyncio.current_task():
                        change = await stream.try_next()
                        token = stream.resume_token
                        if change is not None:
                            self._tell(change.get("fullDocument"))
                broke: Exception | None = None  # by the server: the collection was dropped or renamed
                token = None
            except UnavailableError as error:
                broke = error
            except Exception as error:  # the loop that keeps the stream open records what comes and goes on
                broke, token = error, None  # it cannot be gone on from there
            opened.clear()
            if not failures:
                log.warning("change stream broke", extra={"collection": self._model.__name__}, exc_info=broke)
            failures += 1
            await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1])

    def _went_on(self, *, with_gap: bool) -> None:
        log.warning("change stream is back", extra={"collection": self._model.__name__})
        if with_gap:
            for listener in [each for group in self._listeners.values() for each in group]:
                listener.tell(None)

    def _tell(self, raw: dict[str, Any] | None) -> None:
        if raw is None or not (listeners := self._listeners.get(raw[self._key_field])):
            return
        try:
            document: M | None = self._model.model_validate_doc(raw)
        except Exception:  # what odmantic raises depends on what is wrong
            log.warning("record cannot be read", extra={"record": f"{self._model.__name__} {raw['_id']}"})
            document = None  # whoever listens reads it, and meets the error
        for listener in listeners:
            listener.tell(document)
