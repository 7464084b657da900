"""Classifies an activity's failure for workflows."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as TimeUpError


def kind_of(error: BaseException) -> str | None:
    """Return the name of our error behind it, such as "NoCapacityError"; None for other errors."""
    cause = _cause(error)
    return cause.type if isinstance(cause, ApplicationError) else None


def is_timeout(error: BaseException) -> bool:
    """Return whether an activity failed because its time was up."""
    return isinstance(_cause(error), TimeUpError)


def describe(error: BaseException) -> str:
    """Return what went wrong, in words for people."""
    cause = _cause(error)
    if isinstance(cause, TimeUpError):
        last = cause.cause
        return f"it took too long ({last.message})" if isinstance(last, ApplicationError) else "it took too long"
    if isinstance(cause, ApplicationError):
        return cause.message
    return str(cause) or "it failed"


def _cause(error: BaseException) -> BaseException | None:
    return error.cause if isinstance(error, ActivityError) else error
