"""uvicorn's WebSocket protocol with a frame-rate limit and slow-reader detection.

uvicorn itself accepts hundreds of thousands of one-byte frames, and waits without end for clients that do not read. The
limits hold before the client is authenticated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request, Response
from websockets.protocol import State

from auth.rate_limits import MessageRate
from correlation import working_on
from errors import LimitReachedError
from web.access_log import REQUEST_ID, AccessLog, new_request_id

_TAKEN_AT_ONCE: Final = 4096  # bytes; their frames are counted before more are parsed
_SWITCHING_PROTOCOLS: Final = 101
_NOT_UTF8: Final = 1007
_GOING_AWAY: Final = 1001  # clients of graphql-transport-ws reconnect after it, but not after uvicorn's 1011
_CLOSE_DELAY_S: Final = 1.0  # how long a client may go on sending after our close frame
_TRY_AGAIN_LATER: Final = 1013


def slices(data: bytes) -> Iterator[bytes]:
    """Split received data into pieces that are parsed one by one."""
    return (data[start : start + _TAKEN_AT_ONCE] for start in range(0, len(data), _TAKEN_AT_ONCE))


class SlowReader:
    """Aborts a connection when its client has not read for `timeout_s`. Closing it would wait for the client."""

    def __init__(self, transport: asyncio.Transport, timeout_s: float) -> None:
        transport.set_write_buffer_limits(high=0)  # pause as soon as the system's buffer is full
        self._transport = transport
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def paused(self) -> None:
        self.resumed()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._transport.abort)

    def resumed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HardenedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Accepts at most `max_frames_per_minute` frames of any kind, and aborts connections of slow readers."""

    slow_reader_s = 20.0
    max_frames_per_minute = 3600
    _ignores_input = False  # set when our close frame is sent
    refusal_log = AccessLog()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._reader = SlowReader(self.transport, self.slow_reader_s)
        self._frames = MessageRate(self.max_frames_per_minute)

    def data_received(self, data: bytes) -> None:
        for part in slices(data):
            if self._ignores_input or self.transport.is_closing():
                return
            super().data_received(part)

    def handle_events(self) -> None:
        try:
            for _ in self.conn.events:
                self._frames.admit()
        except LimitReachedError as error:
            self.conn.events_received()
            if self.conn.state is State.OPEN:
                self.conn.send_close(_TRY_AGAIN_LATER, error.message)
                self.handle_parser_exception()
            else:
                self._close_soon()  # our close frame was sent before
        else:
            super().handle_events()

    def send_receive_event_to_app(self) -> None:
        """Refuse text that is not UTF-8 without uvicorn's traceback in the log."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.frames = []
            if self.conn.state is State.OPEN:
                self.conn.send_close(_NOT_UTF8)
                self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Send the close frame and give the client time to read it.

        uvicorn closes the connection at once. If the client is still sending, the system then resets the connection and
        the frame is lost.
        """
        assert self.conn.close_sent is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._close_soon()

    def _close_soon(self) -> None:
        self._ignores_input = True
        self.transport.resume_reading()
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(_CLOSE_DELAY_S, self.transport.close)

    def keepalive_timeout(self) -> None:
        """Close the connection of a client that was suspended, with a code after which it reconnects."""
        self.pong_timer = self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(_GOING_AWAY, "keepalive ping timeout")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    async def send(self, message: Any) -> None:
        """Send a message of the application. Raise ClientDisconnected, which is not logged, once the socket closes."""
        if not self.handshake_complete and self.transport is not None and self.transport.is_closing():
            self.handshake_complete = True
            raise ClientDisconnected
        try:
            await super().send(message)
        except RuntimeError:
            if self.close_sent:
                raise ClientDisconnected from None
            raise
        if self.close_sent:
            self.handshake_complete = True  # also after an ordinary HTTP response

    def handle_connect(self, event: Request) -> None:
        answer = self.conn.accept(event)
        if answer.status_code == _SWITCHING_PROTOCOLS:
            super().handle_connect(event)
        else:
            self._refuse(event, answer)

    def _refuse(self, event: Request, answer: Response) -> None:
        """Answer a handshake that does not reach the application."""
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        request_id = answer.headers[REQUEST_ID] = new_request_id()
        with working_on(request=request_id):
            self.refusal_log.write(event.method, event.path.partition("?")[0], answer.status_code, time.perf_counter())
        self.conn.send_response(answer)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def handle_ping(self) -> None:
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():  # a client that does not read needs no pong
            self.transport.write(pong)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.paused()

    def resume_writing(self) -> None:
        self._reader.resumed()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.resumed()
        super().connection_lost(exc)


def hardened_websocket_protocol(
    slow_reader_s: float, max_messages_per_minute: int, access_log: AccessLog | None = None
) -> type[Any]:
    """Return a subclass with these values, for uvicorn to instantiate. A message may have two frames."""
    settings = {
        "slow_reader_s": slow_reader_s,
        "max_frames_per_minute": 2 * max_messages_per_minute,
        "refusal_log": access_log or AccessLog(),
    }
    return type("ConfiguredWebSocketProtocol", (HardenedWebSocketProtocol,), settings)
