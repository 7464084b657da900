"""Answers as server-sent events, by the distinct connections mode of GraphQL over SSE.

Clients come back by themselves: those of GraphQL over SSE when a stream ends without `complete`, and a browser's
EventSource after every end, until it is answered with 204. The id of an event says what the client has had; after the
last one it is `end`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack, aclosing, suppress
from typing import Any, Final

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from errors import UnauthenticatedError, UnavailableError
from resolvers.context import Context
from schema.execution.errors import INTERNAL, UNAVAILABLE, FormattedError, fault_of
from schema.execution.executor import RequestFailedError
from web.credential_recheck import wait_until_revoked
from web.gateway import Gateway, WebLimits, lasted_too_long

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects answers would keep them back
)
_BEAT: Final = b":\n\n"
_END: Final = "end"
_COMPLETE: Final = b"event: complete\ndata:\n\n"
_COMPLETE_FOR_GOOD: Final = f"id: {_END}\n".encode() + _COMPLETE
_PASSING: Final = frozenset({UNAVAILABLE, INTERNAL})  # codes of errors after which it is worth coming back
_RESTART: Final = "the service is restarting: connect again"

Answers = AsyncGenerator[dict[str, Any], None]
Begin = Callable[[], Awaitable[Answers]]


async def open_stream(gateway: Gateway, context: Context, scope: Scope, begin: Begin) -> Response:
    """Return the stream, counted among the caller's until it ends, and not longer than its credentials are good; or 204
    when a client that comes back has had all of it.

    Raises LimitReachedError.
    """
    if has_ended(scope):
        return Response(status_code=204)
    if Headers(scope=scope).get("last-event-id") is not None:
        begin = await _begun(begin)
        if context.is_over:
            await (await begin()).aclose()
            return Response(status_code=204)
    held = ExitStack()
    held.enter_context(gateway.socket_of(context.caller))
    return EventStream(
        begin,
        lambda: context.event_id,
        gateway.limits,
        held,
        lambda: _ended(gateway, context, scope),
    )


def has_ended(scope: Scope) -> bool:
    """Return whether the client comes back after the last event of all."""
    return Headers(scope=scope).get("last-event-id") == _END


async def _begun(begin: Begin) -> Begin:
    """Begin now. What goes wrong is told as an event: an EventSource gives up for good after any other answer."""
    try:
        answers = await begin()
    except RequestFailedError as error:
        failure = error

        async def fail() -> Answers:
            raise failure

        return fail

    async def begun() -> Answers:
        return answers

    return begun


async def _ended(gateway: Gateway, context: Context, scope: Scope) -> FormattedError:
    """Wait until the caller may no longer listen, or the service stops, and return what to tell the client."""
    expiry = asyncio.create_task(wait_until_revoked(gateway, context.caller, scope))
    stop = asyncio.create_task(gateway.stopping.wait())
    try:
        await asyncio.wait([expiry, stop], return_when=asyncio.FIRST_COMPLETED)
        return fault_of(UnauthenticatedError(expiry.result()) if expiry.done() else UnavailableError(_RESTART))
    finally:
        await _stop(expiry, stop)


class EventStream(Response):
    """An ASGI response. It ends with its answers, its client, the client's credentials, its time, or the service."""

    def __init__(
        self,
        begin: Begin,
        event_id: Callable[[], int | None],
        limits: WebLimits,
        held: AbstractContextManager[object],
        ended: Callable[[], Coroutine[Any, Any, FormattedError]],
    ) -> None:
        """`begin` may raise RequestFailedError, which is told as an event. `event_id` returns the id of the present
        answer. `ended` returns when the stream must end before its answers do. `held` counts the stream among its
        caller's for as long as it is open."""
        self._begin = begin
        self._event_id = event_id
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
                await self._last(send, _next({"errors": [dismissal.result()]}))

    async def _tell(self, send: Send) -> None:
        faults: list[FormattedError] = []
        try:
            async with asyncio.timeout(self._limits.max_subscription_s), aclosing(await self._begin()) as answers:
                async for answer in answers:
                    faults = answer.get("errors", [])
                    await self._write(send, _next(answer, self._event_id()))
        except RequestFailedError as error:
            faults = error.faults
            await self._last(send, _next({"errors": faults}) + _completion(faults))
        except _TooSlowError:
            return
        except TimeoutError:
            await self._last(send, _next({"errors": [lasted_too_long(self._limits.max_subscription_s)]}))
        else:
            await self._last(send, _completion(faults))

    async def _last(self, send: Send, events: bytes) -> None:
        with suppress(_TooSlowError):
            await self._write(send, events, last=True)

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


def _next(answer: dict[str, Any], event_id: int | None = None) -> bytes:
    numbered = b"" if event_id is None else b"id: %d\n" % event_id
    return numbered + b"event: next\ndata: " + orjson.dumps(answer) + b"\n\n"


def _completion(faults: list[FormattedError]) -> bytes:
    """Return the event that ends the answers; the client need not come back, unless the last one failed for a while."""
    codes = {fault.get("extensions", {}).get("code") for fault in faults}
    return _COMPLETE if codes & _PASSING else _COMPLETE_FOR_GOOD


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
