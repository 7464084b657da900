"""HTTP connections as one would have them: those that dawdle, send crumbs or read nothing are closed, and a head that
is too large is told so. uvicorn itself waits without end, limits a head only while a part is missing, and then calls it
malformed."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

import h11
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from correlation import working_on
from web.access_log import REQUEST_ID, UNKNOWN, AccessLog, new_request_id
from web.header_limits import HeadLimits, too_large
from web.idle_connections import IdleConnections
from web.responses import json_answer
from web.websocket_protocol import SlowReader, slices

_MAY_BE_ANSWERED: Final = (h11.IDLE, h11.SEND_RESPONSE)
_CRUMBS: Final = 8 * 1024  # bytes around the pieces of a body that may outweigh them
_REST: Final = 128 * 1024  # bytes of a body that may come after its answer; the connection is good for more then
_LOOK_S: Final = 0.02
_FAREWELL_S: Final = 1.0  # so long an answer has to arrive before the connection is closed under a body


class HardenedH11Protocol(H11Protocol):
    """From the first moment of a connection, and from the first byte of each further request, the whole head has to
    be there within `head_timeout_s`. One that is too large never reaches WebSockets; over HTTP the application says so,
    if it came at once. Whoever reads nothing for `slow_reader_s` is cut off."""

    head_timeout_s = 10.0
    slow_reader_s = 20.0
    heads = HeadLimits()
    refusal_log = AccessLog()
    idle = IdleConnections()
    _head_timer: asyncio.TimerHandle | None = None
    _crumbs = _body = 0  # bytes of the present request: around the pieces of its body, and of these
    _dropping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        super().connection_made(transport)
        self._reader = SlowReader(transport, self.slow_reader_s)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        for part in slices(data):
            if self._dropping or self._is_upgraded() or self.transport.is_closing():
                break
            self._take(part)
        if self._has_head():
            self._stop_waiting()
        elif self._head_timer is None:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and not self.transport.is_closing():
            self.idle.add(self)
        if self.conn.their_state is h11.SEND_BODY and not self._will_end_soon():
            self._dropping = True
            self.loop.call_later(_FAREWELL_S, self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.paused()

    def resume_writing(self) -> None:
        self._reader.resumed()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._reader.resumed()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def close_idle(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        """Also stop counting the connection among the idle ones: it has data, or is lost."""
        self.idle.remove(self)
        super()._unset_keepalive_if_required()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        super().handle_websocket_upgrade(event)
        upgraded: Any = self.transport.get_protocol()
        if not upgraded.handshake_initiated:
            # The WebSocket library could not read it (a body, a long line) and would wait for ever.
            self._answer(_malformed("Invalid HTTP request received."), self.scope["method"], self.scope["path"])

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state not in _MAY_BE_ANSWERED:
            self.transport.close()
        elif getattr(sys.exception(), "error_status_hint", 400) == 431:
            self._answer(too_large("headBytes", self.heads.max_bytes, "bytes"))
        else:
            self._answer(_malformed(msg))

    def _take(self, part: bytes) -> None:
        cycle, before = self.cycle, len(self.cycle.body) if self.cycle else 0
        within = self.conn.their_state is h11.SEND_BODY
        super().data_received(part)
        if self.cycle is not cycle or not within:
            self._crumbs = self._body = 0
            return
        body = len(cycle.body) - before
        self._crumbs += len(part) - body
        self._body += body
        if self._crumbs > max(_CRUMBS, self._body) and not self._is_answered():
            self.send_400_response("The pieces of the request are too small.")

    def _is_answered(self) -> bool:
        return self.conn.our_state is h11.DONE

    def _will_end_soon(self) -> bool:
        """What follows is of a length that was told, and no great one: then it is cheap to read to its end."""
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return bool(lengths) and int(lengths[0]) <= _REST

    def _should_upgrade(self) -> bool:
        """One that is too large stays HTTP, whose answer says so."""
        return super()._should_upgrade() and self.heads.broken_by(self.scope) is None

    def _answer(self, answer: Response, method: str = UNKNOWN, path: str = UNKNOWN) -> None:
        """Answer a request that does not reach the application, or whose body cannot be read to its end."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The application is reading this request, and writes its line in the access log.
            request_id = self.scope["state"].setdefault("request_id", new_request_id())
        else:
            request_id = new_request_id()
            with working_on(request=request_id):
                self.refusal_log.write(method, path, answer.status_code, time.perf_counter())
        answer.headers[REQUEST_ID] = request_id
        head = h11.Response(status_code=answer.status_code, headers=answer.raw_headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _has_head(self) -> bool:
        return self._is_upgraded() or self.conn.their_state is not h11.IDLE

    def _is_upgraded(self) -> bool:
        protocol: Any = self.transport.get_protocol()
        return protocol is not self

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._look_again)

    def _look_again(self) -> None:
        """Take a head that was received in time and waited for this process, which was busy: the event loop reads it
        before this timer ends."""
        self._head_timer = self.loop.call_later(_LOOK_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._has_head() and not self.transport.is_closing():
            self.transport.close()


def _malformed(message: str) -> Response:
    told = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    return json_answer({"errors": [told]}, 400, headers={"Connection": "close"})


def hardened_http_protocol(
    head_timeout_s: float,
    heads: HeadLimits | None = None,
    slow_reader_s: float = 20.0,
    access_log: AccessLog | None = None,
    max_idle: int = 500,
) -> type[HardenedH11Protocol]:
    """Return the same protocol with these values: the server makes one of its class for each connection."""
    settings = {
        "head_timeout_s": head_timeout_s,
        "heads": heads or HeadLimits(),
        "slow_reader_s": slow_reader_s,
        "refusal_log": access_log or AccessLog(),
        "idle": IdleConnections(max_idle),
    }
    return type("PatientH11", (HardenedH11Protocol,), settings)
