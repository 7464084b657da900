"""Workflows for spending limits: check them every minute, and deliver each alert until it is accepted."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from fleet.inputs import AlertRef
    from fleet.spending_enforcement import Spending

WATCH_SPENDING: Final = "WatchSpending"
_EVERY: Final = timedelta(minutes=1)
_SHORT: Final = timedelta(minutes=5)
_BEAT: Final = timedelta(seconds=30)
_TELL_FOR: Final = timedelta(days=1)
_AGAIN: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=15)
)


@workflow.defn(name=WATCH_SPENDING)
class WatchSpendingWorkflow:
    @workflow.run
    async def run(self) -> int:
        """Return the number of stopped machines.

        The stops are made even if the alerts fail; the run fails after them.
        """
        failed = await self._alert()
        stopped = await workflow.execute_activity_method(
            Spending.enforce_hard_limits, schedule_to_close_timeout=_SHORT, heartbeat_timeout=_BEAT
        )
        if failed is not None:
            raise failed
        return stopped

    async def _alert(self) -> ActivityError | None:
        """Raise what is due and start its delivery; return the error if that failed."""
        try:
            waiting = await workflow.execute_activity_method(
                Spending.raise_alerts, schedule_to_close_timeout=_SHORT, heartbeat_timeout=_BEAT
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return error
        for alert_id in waiting:
            await self._deliver(alert_id)
        return None

    async def _deliver(self, alert_id: str) -> None:
        """Start the alert's own workflow, which continues after this one has ended."""
        try:
            await workflow.start_child_workflow(
                TellAlertWorkflow.run,
                AlertRef(alert_id),
                id=alert_workflow_id(alert_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            return  # already being delivered


@workflow.defn(name="TellAlert")
class TellAlertWorkflow:
    @workflow.run
    async def run(self, alert: AlertRef) -> None:
        try:
            await workflow.execute_activity_method(
                Spending.deliver_alert,
                alert,
                start_to_close_timeout=timedelta(seconds=30),
                schedule_to_close_timeout=_TELL_FOR,
                retry_policy=_AGAIN,
            )
        except ActivityError:
            await workflow.execute_activity_method(Spending.give_up_alert, alert, schedule_to_close_timeout=_TELL_FOR)


def alert_workflow_id(alert_id: str) -> str:
    """Return the id of the workflow that delivers this alert."""
    return f"alert-{alert_id}"


async def ensure_spending_schedule(client: Client, task_queue: str, every: timedelta = _EVERY) -> None:
    """Create the schedule. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, WATCH_SPENDING, every)
