"""Around every activity: heartbeats while it runs, and our errors in the engine's words."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from correlation import working_on
from errors import GatewayError, ProviderBusyError, UnavailableError
from fleet.telling import lines_first

log = logging.getLogger(__name__)

_UNEXPECTED_TRIES = 3


class Activities(Interceptor):
    """Heartbeats come from here, so that no activity has to think of them; and an activity's error says by its type
    whether asking again makes sense."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activity(next)


class _Activity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        beating = asyncio.create_task(_beat())
        launch = (activity.info().workflow_id or "").removeprefix("launch-")
        try:
            with working_on(launch=launch if launch.isdigit() else None):
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
        finally:
            beating.cancel()


def _told(error: GatewayError, *, final: bool) -> ApplicationError:
    """One line in the log, and no trace: these are the ordinary bad days."""
    info = activity.info()
    log.info(
        "a step did not succeed", extra={"step": info.activity_type, "attempt": info.attempt, "why": error.message}
    )
    kind = type(error).__name__
    return ApplicationError(error.message, type=kind, non_retryable=final, category=ApplicationErrorCategory.BENIGN)


async def _beat() -> None:
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(timeout.total_seconds() / 3)
