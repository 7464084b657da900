"""Answers as server-sent events, by the distinct connections mode of GraphQL over SSE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack, aclosing, suppress
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.callers import Caller
from errors import UnauthenticatedError
from schema.execution import RequestFailedError
from schema.faults import Fault, fault_of
from web.gateway import Gateway, WebLimits, lasted_too_long
from web.standing import no_longer_good

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects answers would keep them back
)
_BEAT: Final = b":\n\n"
_COMPLETE: Final = b"event: complete\ndata:\n\n"

Answers = AsyncGenerator[dict[str, Any], None]


def open_stream(gateway: Gateway, caller: Caller, scope: Scope, begin: Callable[[], Awaitable[Answers]]) -> EventStream:
    """Counted among the caller's streams until it ends, and not longer than its credentials are good.

    Raises LimitReachedError.
    """
    held = ExitStack()
    held.enter_context(gateway.socket_of(caller))
    return EventStream(begin, gateway.limits, held, lambda: no_longer_good(gateway, caller, scope))


class EventStream(Response):
    """An ASGI response. It ends with its answers, its client, the client's credentials, or its time."""

    def __init__(
        self,
        begin: Callable[[], Awaitable[Answers]],
        limits: WebLimits,
        held: AbstractContextManager[object],
        ended: Callable[[], Coroutine[Any, Any, str]],
    ) -> None:
        """`begin` may raise RequestFailedError, which is told as an event. `ended` returns when the caller may no
        longer listen. `held` counts the stream among its caller's for as long as it is open."""
        self._begin = begin
        self._limits = limits
        self._held = held
        self._ended = ended
        self._sending = asyncio.Lock()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            telling = asyncio.create_task(self._tell(send))
            others = [asyncio.create_task(job) for job in (_left(receive), self._beat(send))]
            dismissal = asyncio.create_task(self._ended())
            try:
                await asyncio.wait([telling, dismissal, *others], return_when=asyncio.FIRST_COMPLETED)
                dismissed = dismissal.done() and not telling.done()
            finally:
                await _stop(telling, dismissal, *others)
            if dismissed:
                await self._last(send, [fault_of(UnauthenticatedError(dismissal.result()))])

    async def _tell(self, send: Send) -> None:
        try:
            async with asyncio.timeout(self._limits.max_subscription_s), aclosing(await self._begin()) as answers:
                async for answer in answers:
                    await self._write(send, _next(answer))
        except RequestFailedError as error:
            await self._last(send, error.faults)
        except _TooSlowError:
            return
        except TimeoutError:
            await self._last(send, [lasted_too_long(self._limits.max_subscription_s)])
        else:
            await self._write(send, _COMPLETE, last=True)

    async def _last(self, send: Send, faults: list[Fault]) -> None:
        with suppress(_TooSlowError):
            await self._write(send, _next({"errors": faults}) + _COMPLETE, last=True)

    async def _beat(self, send: Send) -> None:
        """Proxies close what is silent, and a client that is gone is noticed only when it is written to."""
        with suppress(_TooSlowError):
            while True:
                await asyncio.sleep(self._limits.beat_s)
                await self._write(send, _BEAT)

    async def _write(self, send: Send, events: bytes, *, last: bool = False) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s), self._sending:
                await send({"type": "http.response.body", "body": events, "more_body": not last})
        except TimeoutError:
            raise _TooSlowError from None


class _TooSlowError(Exception):
    """The client does not read what it asked for."""


def _next(answer: dict[str, Any]) -> bytes:
    return b"event: next\ndata: " + orjson.dumps(answer) + b"\n\n"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
