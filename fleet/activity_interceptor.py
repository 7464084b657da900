"""Around every activity: heartbeats while it runs, and our errors in the engine's words."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from correlation import working_on
from errors import (
    DatabaseFaultError,
    GatewayError,
    NoCapacityError,
    ProviderBusyError,
    UnavailableError,
    UnreadableRecordError,
)
from fleet.progress_signals import lines_first, tell_trouble
from fleet.unlimited_retries import is_endless

log = logging.getLogger(__name__)

Failed = Callable[[str, str], None]  # called with the activity's name and the error's
_SUBJECTS: Final = MappingProxyType({"launch": "launch", "machine": "vm"})  # by how the id of a workflow begins
_UNEXPECTED: Final = "Unexpected"
_UNEXPECTED_TRIES: Final = 3
_WORTH_REPEATING: Final = (ProviderBusyError, UnavailableError, UnreadableRecordError)
_HEALS_WITHIN: Final = timedelta(seconds=20)
_STEPS: Final = frozenset(
    {
        *("choose", "rent", "await_boot", "wake", "connect", "install"),
        *("mount_library", "restore_saves", "configure_game", "verify_stream"),
    }
)


class ActivityInterceptor(Interceptor):
    """Heartbeats come from here, so that no activity has to think of them; and an activity's error says by its type
    whether asking again makes sense."""

    def __init__(self, failed: Failed = lambda name, error: None, again_after: timedelta | None = None) -> None:
        """`again_after` replaces the growing pauses of the workflows' retry policies."""
        self._failed = failed
        self._again_after = again_after

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activity(next, self._failed, self._again_after)


class _Activity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, failed: Failed, again_after: timedelta | None) -> None:
        super().__init__(next)
        self._failed = failed
        self._again_after = again_after

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        beating = asyncio.create_task(_beat())
        try:
            parameters = dict(zip(inspect.signature(input.fn).parameters, input.args, strict=False))
            with working_on(**ids_of(activity.info().workflow_id or "", parameters)):
                return await self._translated(input)
        finally:
            beating.cancel()

    async def _translated(self, input: ExecuteActivityInput) -> Any:
        try:
            async with lines_first():
                return await super().execute_activity(input)
        except GatewayError as error:
            if isinstance(error, ProviderBusyError) and is_worth_telling(activity.info(), datetime.now(UTC)):
                await tell_trouble(error.message)
            raise self._expected(error) from None
        except ExceptionGroup as group:
            inner = next(_leaves(group))
            if isinstance(inner, GatewayError):
                raise self._expected(inner) from None
            raise self._unexpected(inner) from group
        except Exception as error:
            raise self._unexpected(error) from error

    def _expected(self, error: GatewayError) -> ApplicationError:
        """One line in the log, and no trace: these are the ordinary bad days."""
        info = activity.info()
        self._failed(info.activity_type, type(error).__name__)
        log.info(
            "a step did not succeed", extra={"step": info.activity_type, "attempt": info.attempt, "why": str(error)}
        )
        # Workflows, also those of earlier builds, know one word for every lack of capacity.
        kind = NoCapacityError.__name__ if isinstance(error, NoCapacityError) else type(error).__name__
        after_s = error.retry_after_s if isinstance(error, ProviderBusyError) else None
        return ApplicationError(
            error.message,
            type=kind,
            non_retryable=not isinstance(error, _WORTH_REPEATING),
            next_retry_delay=self._again_after if after_s is None else timedelta(seconds=after_s),
            category=ApplicationErrorCategory.BENIGN,
        )

    def _unexpected(self, error: Exception) -> ApplicationError:
        """A fault of ours: its text may hold anything, so it goes to the log and not to the player.

        What the records need is tried until another version of ours comes, and logged ever more rarely; anything else
        fails for good after some attempts, or when the time of its step is up.
        """
        info = activity.info()
        self._failed(info.activity_type, _UNEXPECTED)
        if info.attempt <= _UNEXPECTED_TRIES or info.attempt.bit_count() == 1:
            log.exception("activity failed unexpectedly", extra={"step": info.activity_type, "attempt": info.attempt})
        repeated = isinstance(error, DatabaseFaultError) or info.attempt < _UNEXPECTED_TRIES or is_endless(info)
        return ApplicationError(
            "an internal error", type=_UNEXPECTED, non_retryable=not repeated, next_retry_delay=self._again_after
        )


def is_worth_telling(info: activity.Info, now: datetime) -> bool:
    """Whether the player of a launch should hear of this failed try: not of what heals within seconds, and of a step
    that goes on failing ever more rarely."""
    is_step = (info.workflow_id or "").startswith("launch-") and info.activity_type in _STEPS
    return is_step and now - info.scheduled_time >= _HEALS_WITHIN and info.attempt.bit_count() == 1


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    """Yield what tasks of a group raised, first what repeating does not help."""
    flat: list[Exception] = []
    for each in group.exceptions:
        flat += _leaves(each) if isinstance(each, ExceptionGroup) else [each]
    yield from sorted(flat, key=lambda error: isinstance(error, _WORTH_REPEATING))


def ids_of(workflow_id: str, parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the ids of the launch and the VM that an activity works for: the one in its workflow's id, and `launch_id`
    and `vm_id` among its parameters or their fields."""
    kind, _, number = workflow_id.partition("-")
    found = {_SUBJECTS[kind]: number} if kind in _SUBJECTS and number.isdigit() else {}
    for parameter, value in parameters.items():
        for subject in _SUBJECTS.values():
            name = f"{subject}_id"
            subject_id = value if parameter == name else getattr(value, name, None)
            if isinstance(subject_id, str):
                found[subject] = subject_id
    return found


async def _beat() -> None:
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(timeout.total_seconds() / 3)
