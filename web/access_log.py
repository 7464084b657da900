"""The access log: one line for each request, without its query or body, and its status for the metrics."""

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
    def __init__(self, count_status: Callable[[int], None] | None = None) -> None:
        """`count_status` is called with the status of each HTTP response."""
        self._count_status = count_status

    def write(self, method: str, path: str, status: int, begun: float) -> None:
        """Log a completed request.

        `status` is the HTTP status, or the close code of a WebSocket; 0 if there was no response. `begun` is the value
        of `perf_counter` when the request began.
        """
        took_ms = round((time.perf_counter() - begun) * 1000, 1)
        log.info("request completed", extra={"method": method, "path": path, "status": status, "ms": took_ms})
        if self._count_status is not None and 200 <= status < 600:
            self._count_status(status)


def new_request_id() -> str:
    """Return a random request id."""
    return secrets.token_hex(16)
