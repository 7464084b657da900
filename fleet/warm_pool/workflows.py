"""Workflows of the warm pool: one plans it every minute, and each machine has one until it is ready, and to its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from fleet.unlimited_retries import ENDLESS
    from fleet.warm_pool.budget import PREPARE_WITHIN
    from fleet.warm_pool.messages import PoolRound, PoolWork, WarmMachineInput, warm_workflow_id
    from fleet.warm_pool.planning import WarmPlanning
    from fleet.warm_pool.preparing import WarmPreparing
    from fleet.warm_pool.releasing import WarmReleasing

WARM_POOL: Final = "WarmPool"
WARM_MACHINE: Final = "WarmMachine"
_EVERY: Final = timedelta(minutes=1)
_PLAN_TIME: Final = timedelta(minutes=5)
_BEAT: Final = timedelta(seconds=10)
_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=10)
)


@workflow.defn(name=WARM_POOL)
class WarmPoolWorkflow:
    @workflow.run
    async def run(self) -> int:
        """Plan once, and give each machine that has work to do a workflow. Return their number."""
        work: PoolWork = await workflow.execute_activity_method(
            WarmPlanning.plan, PoolRound(), schedule_to_close_timeout=_PLAN_TIME, heartbeat_timeout=_BEAT
        )
        for machine_id in work.machine_ids:
            await self._start(machine_id)
        return len(work.machine_ids)

    async def _start(self, machine_id: str) -> None:
        """Start the machine's own workflow, which continues after this one has ended."""
        try:
            await workflow.start_child_workflow(
                WarmMachineWorkflow.run,
                WarmMachineInput(machine_id),
                id=warm_workflow_id(machine_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            return


@workflow.defn(name=WARM_MACHINE)
class WarmMachineWorkflow:
    @workflow.run
    async def run(self, machine: WarmMachineInput) -> None:
        """Prepare the machine; delete it if that fails, or if it is to leave the pool."""
        try:
            await workflow.execute_activity_method(
                WarmPreparing.prepare,
                machine,
                schedule_to_close_timeout=PREPARE_WITHIN,
                heartbeat_timeout=_BEAT,
                retry_policy=_RETRY,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
        await workflow.execute_activity_method(
            WarmReleasing.release,
            machine,
            schedule_to_close_timeout=ENDLESS,
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
        )


async def ensure_warm_pool_schedule(client: Client, task_queue: str, every: timedelta = _EVERY) -> None:
    """Create the schedule. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, WARM_POOL, every)
