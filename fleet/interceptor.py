"""Around every activity: heartbeats while it runs, and our errors in the engine's words."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from correlation import working_on
from errors import GatewayError, NoCapacityError, ProviderBusyError, UnavailableError
from fleet.telling import lines_first

log = logging.getLogger(__name__)

_UNEXPECTED_TRIES = 3
_SUBJECTS: Final = MappingProxyType({"launch": "launch", "machine": "vm"})  # by how the id of a workflow begins


class Activities(Interceptor):
    """Heartbeats come from here, so that no activity has to think of them; and an activity's error says by its type
    whether asking again makes sense."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activity(next)


class _Activity(ActivityInboundInterceptor):
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
        except (ProviderBusyError, UnavailableError) as error:
            raise _told(error, final=False) from None
        except GatewayError as error:
            raise _told(error, final=True) from None
        except Exception as error:
            # A fault of ours: its text may hold anything, so it goes to the log and not to the player.
            log.exception("an activity failed unexpectedly")
            last = activity.info().attempt >= _UNEXPECTED_TRIES
            raise ApplicationError("an internal error", type="Unexpected", non_retryable=last) from error


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


def _told(error: GatewayError, *, final: bool) -> ApplicationError:
    """One line in the log, and no trace: these are the ordinary bad days."""
    info = activity.info()
    log.info(
        "a step did not succeed", extra={"step": info.activity_type, "attempt": info.attempt, "why": error.message}
    )
    # Workflows, also those of earlier builds, know one word for every lack of capacity.
    kind = NoCapacityError.__name__ if isinstance(error, NoCapacityError) else type(error).__name__
    after_s = error.retry_after_s if isinstance(error, ProviderBusyError) else None
    return ApplicationError(
        error.message,
        type=kind,
        non_retryable=final,
        category=ApplicationErrorCategory.BENIGN,
        next_retry_delay=None if after_s is None else timedelta(seconds=after_s),
    )


async def _beat() -> None:
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(timeout.total_seconds() / 3)
