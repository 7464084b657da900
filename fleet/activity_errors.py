"""What an activity's failure means, read inside a workflow."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as TimeUpError


def kind_of(error: BaseException) -> str | None:
    """The name of our error behind it, such as "NoCapacityError"; None for anything else."""
    cause = _cause(error)
    return cause.type if isinstance(cause, ApplicationError) else None


def time_is_up(error: BaseException) -> bool:
    return isinstance(_cause(error), TimeUpError)


def words_of(error: BaseException) -> str:
    """What went wrong, for people."""
    cause = _cause(error)
    if isinstance(cause, TimeUpError):
        last = cause.cause
        return f"it took too long ({last.message})" if isinstance(last, ApplicationError) else "it took too long"
    if isinstance(cause, ApplicationError):
        return cause.message
    return str(cause) or "it failed"


def _cause(error: BaseException) -> BaseException | None:
    return error.cause if isinstance(error, ActivityError) else error
