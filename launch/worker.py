"""The worker, which runs the workflows and activities of launches and machines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Replayer, Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from billing.price_refresh import PriceRefreshWorkflow
from billing.workflows import CheckWorkflow, FetchExportWorkflow, LookAtBalanceWorkflow, RollUpWorkflow
from fleet.activity_interceptor import ActivityInterceptor, Failed
from fleet.message_forms import MESSAGES, MessageInterceptor
from fleet.pairing_window import PairingWorkflow
from fleet.save_purge import PurgeDeletedSavesWorkflow
from fleet.schedules import SweepWorkflow
from fleet.spending_workflows import TellAlertWorkflow, WatchSpendingWorkflow
from fleet.warm_pool.workflows import WarmMachineWorkflow, WarmPoolWorkflow
from fleet.workflow import MachineWorkflow
from launch.golden_images import BuildImagesWorkflow
from launch.image_refresh import RefreshImagesWorkflow
from launch.recovery import RescueWorkflow
from launch.scheduled.workflow import StartScheduledWorkflow
from launch.versions import deployment_name
from launch.workflow import LaunchWorkflow

# Modules of plain values and activities: the sandbox guards only the workflows.
_PLAIN: Final = (
    *("errors", "models", "providers", "placement", "billing", "streaming", "odmantic", "pymongo", "bson", "numpy"),
    *("correlation", "tracing", "opentelemetry"),
    *(
        "fleet.unlimited_retries",
        "fleet.activity_errors",
        "fleet.account_quotas",
        "fleet.provisioning",
        "fleet.release",
        "fleet.interruptions",
        "fleet.machine_control",
        "fleet.machine_operations",
        "fleet.inputs",
        "fleet.message_forms",
        "fleet.messages",
        "fleet.owners",
        "fleet.power",
        "fleet.power_state",
        "fleet.reconciliation",
        "fleet.record_settlement",
        "fleet.save_upload",
        "fleet.spending_enforcement",
        "fleet.sweep_alerts",
        "fleet.sweep_plan",
        "fleet.sweeper",
        "fleet.warm_pool.budget",
        "fleet.warm_pool.forecast",
        "fleet.warm_pool.holding",
        "fleet.warm_pool.messages",
        "fleet.warm_pool.metering",
        "fleet.warm_pool.offers",
        "fleet.warm_pool.planning",
        "fleet.warm_pool.preparing",
        "fleet.warm_pool.releasing",
        "fleet.warm_pool.taking",
    ),
    *(
        "fleet.progress_signals",
        "fleet.monitoring",
        "launch.workflow_client",
        "launch.ended_runs",
        "launch.game_source",
        "launch.order_checks",
        "launch.orders",
        "launch.service",
        "launch.messages",
        "launch.playable_time",
        "launch.concurrent_steps",
        "launch.machine_setup",
        "launch.own_machines",
        "launch.placement_activities",
        "launch.progress_activities",
        "launch.records",
        "launch.setup_activities",
        "launch.step_limits",
        "launch.step_runner",
        "launch.scheduled.messages",
        "launch.scheduled.service",
        "launch.scheduled.starting",
        "launch.progress",
        "launch.step_tracking",
        "launch.warnings",
    ),
)

_WORKFLOWS: Final = (
    *(LaunchWorkflow, RescueWorkflow, MachineWorkflow, SweepWorkflow, PriceRefreshWorkflow),
    *(RefreshImagesWorkflow, PairingWorkflow, BuildImagesWorkflow),
    *(WarmPoolWorkflow, WarmMachineWorkflow, StartScheduledWorkflow),
    PurgeDeletedSavesWorkflow,
    *(
        RollUpWorkflow,
        CheckWorkflow,
        LookAtBalanceWorkflow,
        FetchExportWorkflow,
        WatchSpendingWorkflow,
        TellAlertWorkflow,
    ),
)


def build_worker(
    client: Client,
    task_queue: str,
    *bearers: object,
    failed: Failed = lambda name, error: None,
    again_after: timedelta | None = None,
    build_id: str | None = None,
) -> Worker:
    """Return a worker for all workflows.

    `bearers` are the objects whose methods are the activities; `failed` is called with the names of each failed
    activity and of its error; `again_after` replaces the pauses before they are repeated. The worker takes over the
    step of a killed one within seconds: short heartbeats, short sticky queues. With a `build_id` it is versioned, and
    workflows are pinned to the build that began them.
    """
    return Worker(
        client,
        task_queue=task_queue,
        workflows=_WORKFLOWS,
        activities=[activity for bearer in bearers for activity in _activities_of(bearer)],
        interceptors=[MessageInterceptor(), ActivityInterceptor(failed, again_after)],
        workflow_runner=_runner(),
        deployment_config=None if build_id is None else _versioning_config(task_queue, build_id),
        max_concurrent_activities=1000,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=2),
    )


def build_replayer() -> Replayer:
    """Return a replayer that runs recorded histories through today's workflows as the worker would."""
    return Replayer(
        workflows=_WORKFLOWS,
        interceptors=[MessageInterceptor(), ActivityInterceptor()],
        workflow_runner=_runner(),
        data_converter=MESSAGES,
    )


def _versioning_config(task_queue: str, build_id: str) -> WorkerDeploymentConfig:
    """Pin all workflows here instead of in their definitions: Temporal rejects such tasks from unversioned workers."""
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name(task_queue), build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def _runner() -> SandboxedWorkflowRunner:
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*_PLAIN))


def _activities_of(bearer: object) -> list[Callable[..., Any]]:
    methods = (getattr(bearer, name) for name in dir(type(bearer)) if not name.startswith("__"))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]
