"""Google's words for a fault that passes by itself, whatever the status that they come with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PASSING: Final = frozenset(
    {
        *("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"),  # told with a 403
        *("jobRateLimitExceeded", "jobBackendError", "jobInternalError"),  # BigQuery's, told with a 400
    }
)


def passes(failure: Mapping[str, Any]) -> bool:
    """Whether the `error` of an answer tells of something that is over later, with nothing changed by us."""
    details = failure.get("errors")
    told = details if isinstance(details, list) else []
    return any(isinstance(one, dict) and one.get("reason") in _PASSING for one in told)


def failure_in(document: object) -> Mapping[str, Any]:
    """What an answer says went wrong; empty where it says nothing that we know."""
    failure = document.get("error") if isinstance(document, dict) else None
    return failure if isinstance(failure, dict) else {}
