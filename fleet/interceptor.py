"""Around every activity: heartbeats while it runs, and our errors in the engine's words."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from correlation import working_on
from errors import GatewayError, ProviderBusyError, UnavailableError

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
                return await super().execute_activity(input)
        except (ProviderBusyError, UnavailableError) as error:
            raise ApplicationError(error.message, type=type(error).__name__) from error
        except GatewayError as error:
            raise ApplicationError(error.message, type=type(error).__name__, non_retryable=True) from error
        except Exception as error:
            # A fault of ours: its text may hold anything, so it goes to the log and not to the player.
            activity.logger.exception("an activity failed unexpectedly")
            last = activity.info().attempt >= _UNEXPECTED_TRIES
            raise ApplicationError("an internal error", type="Unexpected", non_retryable=last) from error
        finally:
            beating.cancel()


async def _beat() -> None:
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(timeout.total_seconds() / 3)
