"""How a check of `python server.py --check` says that it failed or does not apply."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from settings import Settings

CHECK_S: Final = 10.0
EMBEDDED: Final = "embedded: it starts with the service"
SIMULATED: Final = "simulated: it starts with the service"

Check = Callable[[Settings], Awaitable[str]]


class CheckFailedError(Exception):
    """A check failed, with one line for each fault."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class CheckSkippedError(Exception):
    """A check does not apply."""


def reason_of(error: OSError) -> str:
    """Return in plain words why an address cannot be reached or used."""
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake fails"
    if isinstance(error, socket.gaierror):
        return "DNS does not know the host"
    return os.strerror(error.errno or 0)
