"""Connections that dawdle over the head of a request are closed: uvicorn itself waits for them without end."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientH11(H11Protocol):
    """From the first moment of a connection, and from the first byte of each further request, the whole head has to
    be there within `head_timeout_s`."""

    head_timeout_s = 10.0
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


def patient(head_timeout_s: float) -> type[PatientH11]:
    """The same, as patient as told: the server makes one of its class for each connection."""
    return type("PatientH11", (PatientH11,), {"head_timeout_s": head_timeout_s})
