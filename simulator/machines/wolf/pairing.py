"""Clients that wait for their PIN, to be paired."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class PairingRequest:
    """A Moonlight that wants to be paired. It shows `pin` to its player; None takes any. `paired` is how it ended."""

    secret: str
    client_ip: str
    cert: str
    pin: str | None
    paired: asyncio.Future[bool] = field(repr=False)
    given: asyncio.Future[str] = field(repr=False)


class Pairings:
    """The pending requests. `settled` is called for each PIN that came in, with whether it was right."""

    def __init__(self, settled: Callable[[PairingRequest, bool], None]) -> None:
        self._settled = settled
        self._pending: dict[str, PairingRequest] = {}

    def begin(self, client_ip: str, cert: str, pin: str | None) -> PairingRequest:
        loop = asyncio.get_running_loop()
        secret = secrets.token_hex(8).upper()
        request = PairingRequest(secret, client_ip, cert, pin, loop.create_future(), loop.create_future())
        self._pending[secret] = request
        return request

    def pending(self) -> list[PairingRequest]:
        return list(self._pending.values())

    def give_pin(self, secret: str, pin: str) -> bool:
        """Hand a PIN over, and return whether a request has this secret. Whether the PIN is right shows later."""
        request = self._pending.pop(secret, None)
        if not request:
            return False
        request.given.set_result(pin)
        if request.pin is not None:
            self.end(request, right=request.pin == pin)
        return True

    def end(self, request: PairingRequest, *, right: bool) -> None:
        self._settled(request, right)
        if not request.paired.done():
            request.paired.set_result(right)

    def drop_all(self) -> None:
        for request in self._pending.values():
            request.paired.cancel()
            request.given.cancel()
        self._pending.clear()
