"""How large the head of a request may be: its bytes all together, and the number of its headers."""

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
        """The answer to a request whose head is over a limit; None when it is not."""
        headers = scope["headers"]
        if len(headers) > self.max_headers:
            return too_large("headers", self.max_headers, "headers")
        line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
        if line + sum(len(name) + len(value) for name, value in headers) > self.max_bytes:
            return too_large("headBytes", self.max_bytes, "bytes")
        return None


def too_large(limit: str, allowed: int, of_what: str) -> Response:
    told = {
        "message": f"the head of a request may have at most {allowed} {of_what}",
        "extensions": {"code": LimitReachedError.code, "limit": limit, "allowed": allowed},
    }
    return json_answer({"errors": [told]}, 431, headers={"Connection": "close"})
