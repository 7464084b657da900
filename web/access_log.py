"""The access log: one line for each answered request, without anything of its body, and its status for the metrics."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger("web")

REQUEST_ID: Final = "X-Request-ID"
UNKNOWN: Final = "-"  # the method and the path of a request that could not be parsed


class AccessLog:
    def __init__(self, counted: Callable[[int], None] | None = None) -> None:
        """`counted` is called with the status of each HTTP answer."""
        self._counted = counted

    def write(self, method: str, path: str, status: int, begun: float) -> None:
        """Log an answer. `status` is HTTP's, or the code with which an open WebSocket was closed; 0: there was no
        answer. `begun` is the time of `perf_counter` at which the request began."""
        took_ms = round((time.perf_counter() - begun) * 1000, 1)
        log.info("answered", extra={"method": method, "path": path, "status": status, "ms": took_ms})
        if self._counted is not None and 200 <= status < 600:
            self._counted(status)


def new_request_id() -> str:
    return secrets.token_hex(16)
