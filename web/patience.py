"""Heads of requests as one would have them: connections that dawdle are closed, and what is too large is told so.
uvicorn itself waits for a head without end, limits it only while a part is missing, and then calls it malformed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import h11
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from web.heads import HeadLimits, too_large

_MAY_BE_ANSWERED: Final = (h11.IDLE, h11.SEND_RESPONSE)


class PatientH11(H11Protocol):
    """From the first moment of a connection, and from the first byte of each further request, the whole head has to
    be there within `head_timeout_s`. One that is too large never reaches WebSockets; over HTTP the application says so,
    if it came at once."""

    head_timeout_s = 10.0
    heads = HeadLimits()
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._has_head():
            self._stop_waiting()
        elif self._head_timer is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        super().handle_websocket_upgrade(event)
        upgraded: Any = self.transport.get_protocol()
        if not upgraded.handshake_initiated:
            # The WebSocket library could not read it (another method, a body, a long line), and would wait for ever.
            self.send_400_response("Invalid HTTP request received.")

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state not in _MAY_BE_ANSWERED:
            self.transport.close()
        elif getattr(sys.exception(), "error_status_hint", 400) == 431:
            self._answer(too_large("headBytes", self.heads.max_bytes, "bytes"))
        else:
            super().send_400_response(msg)

    def _should_upgrade(self) -> bool:
        """One that is too large stays HTTP, whose answer says so."""
        return super()._should_upgrade() and self.heads.broken_by(self.scope) is None

    def _answer(self, answer: Response) -> None:
        head = h11.Response(status_code=answer.status_code, headers=answer.raw_headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _has_head(self) -> bool:
        upgraded: Any = self.transport.get_protocol()
        return upgraded is not self or self.conn.their_state is not h11.IDLE

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._has_head() and not self.transport.is_closing():
            self.transport.close()


def patient(head_timeout_s: float, heads: HeadLimits | None = None) -> type[PatientH11]:
    """The same, as patient as told: the server makes one of its class for each connection."""
    return type("PatientH11", (PatientH11,), {"head_timeout_s": head_timeout_s, "heads": heads or HeadLimits()})
