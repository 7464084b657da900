"""The worker: takes launches and machines from the engine and does their activities."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from fleet.interceptor import Activities
from fleet.machines import Machines
from launch.steps import LaunchSteps
from launch.workflow import LaunchWorkflow


def build_worker(client: Client, task_queue: str, steps: LaunchSteps, machines: Machines) -> Worker:
    """A worker that takes over a killed one's step within seconds: short heartbeats, short sticky queues."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[LaunchWorkflow],
        activities=[*_activities_of(steps), *_activities_of(machines)],
        interceptors=[Activities()],
        max_concurrent_activities=100,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=2),
    )


def _activities_of(bearer: object) -> list[Callable[..., Any]]:
    methods = (getattr(bearer, name) for name in dir(type(bearer)) if not name.startswith("__"))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]
