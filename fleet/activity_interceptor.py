"""Wraps every activity: heartbeats while it runs, and our errors translated to Temporal's."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from correlation import ids_in, working_on
from errors import (
    DatabaseFaultError,
    GatewayError,
    NoCapacityError,
    ProviderBusyError,
    UnavailableError,
    UnreadableRecordError,
)
from fleet.progress_signals import deliver_lines_first, signal_failed_try
from fleet.unlimited_retries import is_endless

log = logging.getLogger(__name__)

Failed = Callable[[str, str], None]  # called with the activity's name and the error's
_SUBJECTS: Final = ("launch", "vm")
_UNEXPECTED: Final = "Unexpected"
_UNEXPECTED_TRIES: Final = 3
_WORTH_REPEATING: Final = (ProviderBusyError, UnavailableError, UnreadableRecordError)
_HEALS_WITHIN: Final = timedelta(seconds=20)
_STEPS: Final = frozenset(
    {
        *("choose", "rent", "await_boot", "wake", "connect", "install", "pull_image"),
        *("mount_library", "restore_saves", "configure_game", "verify_stream"),
    }
)


class ActivityInterceptor(Interceptor):
    """Sends heartbeats for every activity, and marks errors as retryable or not."""

    def __init__(self, failed: Failed = lambda name, error: None, again_after: timedelta | None = None) -> None:
        """Set up the interceptor. `again_after` replaces the growing pauses of the workflows' retry policies."""
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
        beating = asyncio.create_task(_send_heartbeats())
        try:
            parameters = dict(zip(inspect.signature(input.fn).parameters, input.args, strict=False))
            with working_on(**ids_of(activity.info().workflow_id or "", parameters)):
                return await self._translate_errors(input)
        finally:
            beating.cancel()

    async def _translate_errors(self, input: ExecuteActivityInput) -> Any:
        try:
            async with deliver_lines_first():
                return await super().execute_activity(input)
        except GatewayError as error:
            if isinstance(error, ProviderBusyError) and is_worth_reporting(activity.info(), datetime.now(UTC)):
                await signal_failed_try(error.message)
            raise self._handle_expected(error) from None
        except ExceptionGroup as group:
            inner = next(_leaves(group))
            if isinstance(inner, GatewayError):
                raise self._handle_expected(inner) from None
            raise self._handle_unexpected(inner) from group
        except Exception as error:
            raise self._handle_unexpected(error) from error

    def _handle_expected(self, error: GatewayError) -> ApplicationError:
        """Log one line without a traceback: these errors are ordinary."""
        info = activity.info()
        self._failed(info.activity_type, type(error).__name__)
        log.info("activity failed", extra={"step": info.activity_type, "attempt": info.attempt, "why": str(error)})
        # Workflows, including those of earlier builds, know one error type for every lack of capacity.
        kind = NoCapacityError.__name__ if isinstance(error, NoCapacityError) else type(error).__name__
        after_s = error.retry_after_s if isinstance(error, ProviderBusyError) else None
        return ApplicationError(
            error.message,
            type=kind,
            non_retryable=not isinstance(error, _WORTH_REPEATING),
            next_retry_delay=self._again_after if after_s is None else timedelta(seconds=after_s),
            category=ApplicationErrorCategory.BENIGN,
        )

    def _handle_unexpected(self, error: Exception) -> ApplicationError:
        """Handle a fault of ours. Its text may contain anything, so it goes to the log and not to the player.

        Activities that the records need are repeated until another version is deployed, and logged ever more rarely.
        Others fail for good after some attempts, or when the time of their step is up.
        """
        info = activity.info()
        self._failed(info.activity_type, _UNEXPECTED)
        if info.attempt <= _UNEXPECTED_TRIES or info.attempt.bit_count() == 1:
            log.exception("activity failed unexpectedly", extra={"step": info.activity_type, "attempt": info.attempt})
        repeated = isinstance(error, DatabaseFaultError) or info.attempt < _UNEXPECTED_TRIES or is_endless(info)
        return ApplicationError(
            "an internal error", type=_UNEXPECTED, non_retryable=not repeated, next_retry_delay=self._again_after
        )


def is_worth_reporting(info: activity.Info, now: datetime) -> bool:
    """Return whether the player of a launch should see this failed try.

    Failures that resolve within seconds are not shown, nor are those of a step that keeps failing ever more rarely.
    """
    is_step = (info.workflow_id or "").startswith("launch-") and info.activity_type in _STEPS
    return is_step and now - info.scheduled_time >= _HEALS_WITHIN and info.attempt.bit_count() == 1


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    """Yield the errors of a task group, non-retryable ones first."""
    flat: list[Exception] = []
    for each in group.exceptions:
        flat += _leaves(each) if isinstance(each, ExceptionGroup) else [each]
    yield from sorted(flat, key=lambda error: isinstance(error, _WORTH_REPEATING))


def ids_of(workflow_id: str, parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the ids of the launch and the VM that an activity works for.

    They are in its workflow's id, and in `launch_id` and `vm_id` among its parameters and their fields.
    """
    subjects = {f"{subject}_id": subject for subject in _SUBJECTS}
    return ids_in(workflow_id) | {subjects[name]: each for name, each in _with_fields(parameters) if name in subjects}


def _with_fields(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the parameters, and the fields of those that are messages."""
    for name, value in parameters.items():
        yield name, value
        if is_dataclass(value):
            yield from _with_fields({field.name: getattr(value, field.name) for field in fields(value)})


async def _send_heartbeats() -> None:
    """Send heartbeats until cancelled."""
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(timeout.total_seconds() / 3)
