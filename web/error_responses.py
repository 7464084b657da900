"""The HTTP status of each error code, and responses for errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response

from errors import GatewayError, LimitReachedError
from schema.execution.errors import UNAVAILABLE, code_of, fault_of
from web.responses import json_answer

STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "BAD_USER_INPUT": 400,
        "BAD_REQUEST": 400,
        "GRAPHQL_PARSE_FAILED": 400,
        "GRAPHQL_VALIDATION_FAILED": 400,
        "QUERY_TOO_COMPLEX": 400,
        "UNAUTHENTICATED": 401,
        "FORBIDDEN": 403,
        "NOT_FOUND": 404,
        "INVALID_STATE": 409,
        "IDEMPOTENCY_KEY_REUSED": 422,
        "SPENDING_LIMIT_REACHED": 409,
        "LIMIT_REACHED": 429,
        "INTERNAL": 500,
        "UNREADABLE_RECORD": 500,
        "NO_CAPACITY": 503,
        "PROVIDER_UNAVAILABLE": 503,
        "UNAVAILABLE": 503,
    }
)
_RETRY_AFTER_S: Final = 2


def status_of(code: str) -> int:
    """Return the HTTP status of an error code; 500 for unknown codes."""
    return STATUSES.get(code, 500)


def headers_of(status: int, retry_after_s: float | None = None) -> dict[str, str]:
    """Return the headers that a response with this status carries."""
    match status:
        case 401:
            return {"WWW-Authenticate": "Bearer"}
        case 429:
            return {"Retry-After": str(math.ceil(retry_after_s or 1))}
        case 503:
            return {"Retry-After": str(_RETRY_AFTER_S)}
    return {}


def retry_headers(faults: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return `Retry-After` for a response that is partial because a dependency is temporarily unavailable."""
    codes = {fault.get("extensions", fault).get("code") for fault in faults}
    return headers_of(503) if UNAVAILABLE in codes else {}


def error_response(
    error: GatewayError, media_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response for a request that failed as a whole, in the form of GraphQL errors."""
    status = status_of(code_of(error))
    wait_s = error.retry_after_s if isinstance(error, LimitReachedError) else None
    content: dict[str, Any] = {"errors": [fault_of(error)]}
    return json_answer(content, status, media_type, {**headers_of(status, wait_s), **(headers or {})})
