"""Responses that stay open: a subscription's results as they come, with heartbeats in between.

Clients of server-sent events reconnect by themselves: those of GraphQL over SSE when a stream ends without `complete`,
and a browser's EventSource after every end, until it receives 204. The id of an event names what the client has
received; after the last event it is `end`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack, aclosing, suppress
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from errors import UnauthenticatedError, UnavailableError
from resolvers.context import Context
from schema.execution.errors import FormattedError, fault_of
from schema.execution.requests import RequestFailedError
from web.credential_recheck import wait_until_revoked
from web.gateway import Gateway, WebLimits, time_limit_error
from web.stream_formats import LAST_EVENT, SERVER_SENT_EVENTS, StreamFormat

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-accel-buffering", b"no"),  # otherwise nginx buffers events
)
_RESTART: Final = "the service is restarting: connect again"

Results = AsyncGenerator[dict[str, Any], None]
Begin = Callable[[], Awaitable[Results]]


async def open_stream(
    gateway: Gateway,
    context: Context,
    scope: Scope,
    begin: Begin,
    stream_format: StreamFormat = SERVER_SENT_EVENTS,
) -> Response:
    """Return the stream, or 204 if a reconnecting client has already received all of it.

    The stream counts among the caller's sockets until it ends, and ends when the caller's credentials do. Raise
    LimitReachedError when the caller has too many.
    """
    if has_ended(scope):
        return Response(status_code=204)
    if Headers(scope=scope).get("last-event-id") is not None:
        begin = await _begin_now(begin)
        if context.is_over:
            await (await begin()).aclose()
            return Response(status_code=204)
    held = ExitStack()
    held.enter_context(gateway.hold_socket(context.caller))
    return EventStream(
        begin,
        lambda: context.event_id,
        gateway.limits,
        held,
        lambda: _wait_for_end(gateway, context, scope),
        stream_format,
    )


def has_ended(scope: Scope) -> bool:
    """Return whether the client reconnects after the last event."""
    return Headers(scope=scope).get("last-event-id") == LAST_EVENT


async def _begin_now(begin: Begin) -> Begin:
    """Begin now, and report a failure as an event: an EventSource does not reconnect after any other response."""
    try:
        results = await begin()
    except RequestFailedError as error:
        failure = error

        async def fail() -> Results:
            raise failure

        return fail

    async def begun() -> Results:
        return results

    return begun


async def _wait_for_end(gateway: Gateway, context: Context, scope: Scope) -> FormattedError:
    """Wait until the credentials end or the service stops, and return the error to send."""
    expiry = asyncio.create_task(wait_until_revoked(gateway, context.caller, scope))
    stop = asyncio.create_task(gateway.stopping.wait())
    try:
        await asyncio.wait([expiry, stop], return_when=asyncio.FIRST_COMPLETED)
        return fault_of(UnauthenticatedError(expiry.result()) if expiry.done() else UnavailableError(_RESTART))
    finally:
        await _cancel(expiry, stop)


class EventStream(Response):
    """An ASGI response that ends with its results, its client, the credentials, the time limit or the service."""

    def __init__(
        self,
        begin: Begin,
        event_id: Callable[[], int | None],
        limits: WebLimits,
        held: AbstractContextManager[object],
        ended: Callable[[], Coroutine[Any, Any, FormattedError]],
        stream_format: StreamFormat,
    ) -> None:
        """`begin` may raise RequestFailedError, which is sent as an event. `event_id` returns the current result's id.

        `ended` returns when the stream must end before its results do. `held` counts the stream among the caller's
        sockets while it is open.
        """
        self._begin = begin
        self._event_id = event_id
        self._limits = limits
        self._held = held
        self._ended = ended
        self._format = stream_format
        self._sending = asyncio.Lock()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            headers = [(b"content-type", self._format.content_type.encode()), *_HEADERS]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if self._format.start:
                await send({"type": "http.response.body", "body": self._format.start, "more_body": True})
            sending = asyncio.create_task(self._send_results(send))
            others = [asyncio.create_task(job) for job in (_wait_for_disconnect(receive), self._send_heartbeats(send))]
            ending = asyncio.create_task(self._ended())
            try:
                await asyncio.wait([sending, ending, *others], return_when=asyncio.FIRST_COMPLETED)
                cut_off = ending.done() and not sending.done()
            finally:
                await _cancel(sending, ending, *others)
            if cut_off:
                await self._send_last(send, self._format.interruption(ending.result()))

    async def _send_results(self, send: Send) -> None:
        faults: list[FormattedError] = []
        try:
            async with asyncio.timeout(self._limits.max_subscription_s), aclosing(await self._begin()) as results:
                async for result in results:
                    faults = result.get("errors", [])
                    await self._write(send, self._format.result(result, self._event_id()))
        except RequestFailedError as error:
            await self._send_last(send, self._format.refusal(error.faults))
        except _TooSlowError:
            return
        except TimeoutError:
            await self._send_last(send, self._format.interruption(time_limit_error(self._limits.max_subscription_s)))
        else:
            await self._send_last(send, self._format.end(faults))

    async def _send_last(self, send: Send, events: bytes) -> None:
        with suppress(_TooSlowError):
            await self._write(send, events, last=True)

    async def _send_heartbeats(self, send: Send) -> None:
        """Send heartbeats: proxies close silent connections, and only a write reveals that a client is gone."""
        with suppress(_TooSlowError):
            while True:
                await asyncio.sleep(self._limits.beat_s)
                await self._write(send, self._format.heartbeat)

    async def _write(self, send: Send, events: bytes, *, last: bool = False) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s), self._sending:
                await send({"type": "http.response.body", "body": events, "more_body": not last})
        except TimeoutError:
            raise _TooSlowError from None


class _TooSlowError(Exception):
    """The client does not read its events."""


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
