"""Worker Versioning: which build gets new work, and which build continues the work of one without workers.

Every workflow is pinned to the build that began it; a machine moves on at its next continue-as-new, soon after a newer
build became current. Workers settle the rest, each for itself and repeatedly, so that no step of an upgrade is manual:

- A build that was never current makes itself current as soon as its workers poll.
- A build with polling workers takes over when those of the current one are gone: a rollback.
- The current build adopts what is pinned to a build without workers, and pins it to itself.

Workers without a build id are not versioned; only the last two points apply to them. See
docs/decisions/worker-versioning.md.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import (
    TaskQueueType,
    VersioningBehavior,
    WorkerDeploymentVersionStatus,
    WorkerVersioningMode,
)
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

log = logging.getLogger(__name__)

UNVERSIONED: Final = ""
_AGAIN_S: Final = 15.0
_SOON_S: Final = 1.0
_CALL: Final = timedelta(seconds=5)
# An idle worker polls once a minute. Temporal names the pollers of one of a queue's partitions: both kinds of queues
# are checked, because a worker polls for activities with several calls at once.
_GONE_AFTER: Final = timedelta(minutes=2)
_QUEUES: Final = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
_AUTO_UPGRADE: Final = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
_NEVER_CURRENT: Final = {
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_INACTIVE,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CREATED,
}
_DRAINED: Final = WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED


def deployment_name(task_queue: str) -> str:
    """Return the name of the worker deployment of this queue's workers; it must not contain dots."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", task_queue)


class WorkerVersions:
    """One worker's view of its deployment's versions. `build_id` is None if the worker is not versioned."""

    def __init__(
        self, client: Client, task_queue: str, build_id: str | None, *, gone_after: timedelta = _GONE_AFTER
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._deployment = deployment_name(task_queue)
        self._build = build_id or UNVERSIONED
        self._gone_after = gone_after

    @asynccontextmanager
    async def keep_settled(self) -> AsyncIterator[None]:
        """Settle repeatedly while the body runs."""
        settling = asyncio.create_task(self._keep_settling())
        try:
            yield
        finally:
            settling.cancel()
            await asyncio.wait([settling])

    async def _keep_settling(self) -> None:
        logged = None
        while True:
            try:
                pause = _AGAIN_S if await self.settle() else _SOON_S
                logged = None
            except RPCError as error:
                if error.message != logged:
                    log.warning("worker versions could not be settled, retrying", extra={"why": error.message})
                logged, pause = error.message, _AGAIN_S
            await asyncio.sleep(pause)

    async def settle(self) -> bool:
        """Do what is due now. Returns False while Temporal does not know this worker's version yet."""
        deployment = await self._describe()
        if deployment is None:
            return self._build == UNVERSIONED
        statuses = {each.deployment_version.build_id: each.status for each in deployment.version_summaries}
        if self._build != UNVERSIONED and self._build not in statuses:
            return False
        await self._pin_adopted()
        polling = await self._find_polling()
        current = deployment.routing_config.current_deployment_version.build_id
        if current != self._build:
            if statuses.get(self._build) not in _NEVER_CURRENT and current in polling:
                return True
            if not await self._become_current(current):
                return False
        gone = [build for build, status in statuses.items() if status != _DRAINED and build not in polling]
        for build in gone:
            if build != self._build:
                await self._adopt(build)
        return True

    async def _describe(self) -> WorkerDeploymentInfo | None:
        request = DescribeWorkerDeploymentRequest(namespace=self._client.namespace, deployment_name=self._deployment)
        try:
            answer = await self._client.workflow_service.describe_worker_deployment(request, timeout=_CALL)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return answer.worker_deployment_info

    async def _find_polling(self) -> set[str]:
        """Return the builds with workers that polled recently, and this one."""
        since = datetime.now(UTC) - self._gone_after
        pollers = [each for kind in _QUEUES for each in await self._pollers(kind)]
        return {_build_of(each) for each in pollers if each.last_access_time.ToDatetime(UTC) >= since} | {self._build}

    async def _pollers(self, kind: TaskQueueType.ValueType) -> Iterable[PollerInfo]:
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace, task_queue=TaskQueue(name=self._task_queue), task_queue_type=kind
        )
        return (await self._client.workflow_service.describe_task_queue(request, timeout=_CALL)).pollers

    async def _become_current(self, before: str) -> bool:
        """Make this build current; return False if Temporal does not know all of its queues yet."""
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=self._client.namespace,
            deployment_name=self._deployment,
            build_id=self._build,
            identity=self._client.identity,
        )
        try:
            await self._client.workflow_service.set_worker_deployment_current_version(request, timeout=_CALL)
        except RPCError as error:
            if error.status is RPCStatusCode.FAILED_PRECONDITION:
                return False
            raise
        log.info("build is now current", extra={"build": self._build, "before": before})
        return True

    async def _adopt(self, build: str) -> None:
        """Let this build continue what is pinned to a build without workers."""
        async for workflow_id, run_id in self._list_running(build):
            log.warning("adopting a workflow of a build without workers", extra={"workflow": workflow_id, "of": build})
            await self._override(workflow_id, run_id, VersioningOverride(behavior=_AUTO_UPGRADE, auto_upgrade=True))

    async def _pin_adopted(self) -> None:
        """Pin adopted workflows to this build, including those adopted from it while its workers were away."""
        if self._build == UNVERSIONED:
            return
        async for workflow_id, run_id in self._list_running(
            self._build, "AND TemporalWorkflowVersioningBehavior = 'AutoUpgrade'"
        ):
            await self._override(workflow_id, run_id, None)

    async def _list_running(self, build: str, also: str = "") -> AsyncIterator[tuple[str, str | None]]:
        query = f"TemporalWorkerDeploymentVersion = '{self._deployment}:{build}' AND ExecutionStatus = 'Running' {also}"
        async for each in self._client.list_workflows(query, rpc_timeout=_CALL):
            yield each.id, each.run_id

    async def _override(self, workflow_id: str, run_id: str | None, override: VersioningOverride | None) -> None:
        request = UpdateWorkflowExecutionOptionsRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id or ""),
            workflow_execution_options=WorkflowExecutionOptions(versioning_override=override),
            update_mask=FieldMask(paths=["versioning_override"]),
        )
        try:
            await self._client.workflow_service.update_workflow_execution_options(request, timeout=_CALL)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended in between
                raise


def _build_of(poller: PollerInfo) -> str:
    options = poller.deployment_options
    versioned = options.worker_versioning_mode == WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    return options.build_id if versioned else UNVERSIONED
