"""Limits on the head of a request: its size in bytes and its number of headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from errors import LimitReachedError
from web.responses import json_answer


@dataclass(frozen=True, slots=True)
class HeadLimits:
    max_bytes: int = 16 * 1024
    max_headers: int = 100

    def broken_by(self, scope: Mapping[str, Any]) -> Response | None:
        """Return the response for a head that exceeds a limit, or None if it does not."""
        headers = scope["headers"]
        if len(headers) > self.max_headers:
            return too_large("headers", self.max_headers, "headers")
        line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
        if line + sum(len(name) + len(value) for name, value in headers) > self.max_bytes:
            return too_large("headBytes", self.max_bytes, "bytes")
        return None


def too_large(limit: str, allowed: int, unit: str) -> Response:
    """Return a response with status 431 that names the limit."""
    error = {
        "message": f"the head of a request may have at most {allowed} {unit}",
        "extensions": {"code": LimitReachedError.code, "limit": limit, "allowed": allowed},
    }
    return json_answer({"errors": [error]}, 431, headers={"Connection": "close"})
