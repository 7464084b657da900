"""Responds within seconds while a cloud hangs: with its last known data and their age."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from errors import ProviderError, ProviderSilentError

T = TypeVar("T")
log = logging.getLogger(__name__)

_PATIENCE_IN_OUTAGE_S: Final = 0.05
_RETRY_S: Final = 5.0  # between two failing requests during an outage


@dataclass(frozen=True, slots=True)
class Stale:
    """A source that does not respond now. Its data is `age_s` seconds old."""

    source: str
    age_s: float


_NOTICED: Final[ContextVar[list[Stale] | None]] = ContextVar("stale data noticed", default=None)


@contextmanager
def collect_stale() -> Iterator[list[Stale]]:
    """Collect the sources with stale data that is used while the body runs, including in tasks that it starts.

    A collector around this one gets them too.
    """
    noticed: list[Stale] = []
    around = _NOTICED.get()
    token = _NOTICED.set(noticed)
    try:
        yield noticed
    finally:
        _NOTICED.reset(token)
        if around is not None:
            around.extend(noticed)


class LastKnown(Generic[T]):
    """One read of an external source, with its last result.

    A call waits at most `patience_s`, and the read continues in the background. Until it succeeds, later calls do not
    wait again. A read that fails in time raises its error.
    """

    def __init__(self, source: str, read: Callable[[], Awaitable[T]], *, patience_s: float) -> None:
        self._source = source
        self._read = read
        self._patience_s = patience_s
        self._reading: asyncio.Task[T] | None = None
        self._known: tuple[float, T] | None = None
        self._is_out = False
        self._failed_at: float | None = None  # during the outage

    async def get(self) -> T:
        """Return the result, or the last known one if there is none in time.

        Raises ProviderSilentError if there is no earlier result either, and the error of a read that failed in time.
        """
        task = self._reading or (None if self._waits_to_retry() else self._begin())
        if task is not None:
            await asyncio.wait([task], timeout=_PATIENCE_IN_OUTAGE_S if self._is_out else self._patience_s)
            if task.done() and not task.cancelled() and (not self._is_out or task.exception() is None):
                return task.result()
        self._begin_outage()
        return self._last_known()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _last_known(self) -> T:
        if self._known is None:
            raise ProviderSilentError(f"{self._source} does not respond")
        read_at, value = self._known
        noticed, stale = _NOTICED.get(), Stale(self._source, round(monotonic() - read_at, 1))
        if noticed is not None and all(one.source != self._source for one in noticed):
            noticed.append(stale)
        return value

    def _waits_to_retry(self) -> bool:
        return self._is_out and self._failed_at is not None and monotonic() - self._failed_at < _RETRY_S

    def _begin(self) -> asyncio.Task[T]:
        self._reading = asyncio.create_task(self._run(), name=f"reading {self._source}")
        self._reading.add_done_callback(self._end)
        return self._reading

    async def _run(self) -> T:
        value = await self._read()
        self._known = (monotonic(), value)
        if self._is_out:
            log.info("source responds again", extra={"source": self._source})
        self._is_out, self._failed_at = False, None
        return value

    def _end(self, task: asyncio.Task[T]) -> None:
        self._reading = None
        if not task.cancelled() and isinstance(task.exception(), ProviderError):
            self._failed_at = monotonic()

    def _begin_outage(self) -> None:
        if not self._is_out:
            log.warning("source does not respond, using last known data", extra={"source": self._source})
        self._is_out = True
