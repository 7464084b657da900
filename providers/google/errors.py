"""Google's reasons for failures that pass by themselves, whatever their status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PASSING: Final = frozenset(
    {
        *("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"),  # sent with status 403
        *("jobRateLimitExceeded", "jobBackendError", "jobInternalError"),  # BigQuery's, sent with status 400
    }
)


def is_transient(failure: Mapping[str, Any]) -> bool:
    """Return whether the `error` of a response passes by itself."""
    details = failure.get("errors")
    told = details if isinstance(details, list) else []
    return any(isinstance(one, dict) and one.get("reason") in _PASSING for one in told)


def failure_in(document: object) -> Mapping[str, Any]:
    """Return the failure that a response describes; empty if it has none that we know."""
    failure = document.get("error") if isinstance(document, dict) else None
    return failure if isinstance(failure, dict) else {}
