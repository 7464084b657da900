"""A deployment's builds and workflows, by Temporal's own client."""

from __future__ import annotations

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from launch.versions import deployment_name

_FAILED = {EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED}


class Engine:
    """What Temporal says of this deployment's builds and workflows."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._queue = task_queue
        self._deployment = deployment_name(task_queue)

    async def current(self) -> str:
        asked = DescribeWorkerDeploymentRequest(namespace="default", deployment_name=self._deployment)
        described = await self._client.workflow_service.describe_worker_deployment(asked)
        return described.worker_deployment_info.routing_config.current_deployment_version.build_id

    async def build_of(self, workflow: str) -> str:
        described = await self._client.get_workflow_handle(workflow).describe()
        return described.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id

    async def running_on(self, build: str) -> list[str]:
        query = f"TemporalWorkerDeploymentVersion = '{self._deployment}:{build}' AND ExecutionStatus = 'Running'"
        return [each.id async for each in self._client.list_workflows(query)]

    async def failures(self) -> list[str]:
        """Return the workflows in which a task failed, or which failed themselves."""
        runs = [each async for each in self._client.list_workflows(f"TaskQueue = '{self._queue}'")]
        return [each.id for each in runs if _FAILED & await self._events(each)]

    async def _events(self, run: WorkflowExecution) -> set[int]:
        history = await self._client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        return {event.event_type for event in history.events}

    async def running(self) -> list[WorkflowExecution]:
        """Return the workflows of launches and machines that run."""
        query = f"TaskQueue = '{self._queue}' AND ExecutionStatus = 'Running' AND WorkflowType IN ('Launch', 'Machine')"
        return [each async for each in self._client.list_workflows(query)]

    async def terminate(self, run: WorkflowExecution) -> bool:
        """End a run as an operator does. False when it has ended by itself."""
        try:
            await self._client.get_workflow_handle(run.id, run_id=run.run_id).terminate("terminated by the soak")
        except RPCError:
            return False
        return True
