"""Traces through Temporal: its own interceptor, limited to what requests start.

The context travels in a header of the workflow, which is part of its history: whichever worker continues a launch
continues its trace. Spans inside a workflow have no duration, so that none is lost with a worker.
"""

from __future__ import annotations

from typing import Any, Final

from temporalio.client import Interceptor as ClientInterceptor
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import (
    Interceptor,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ChildWorkflowHandle

from tracing.recorder import ContinuingTracer

_HEADER: Final = "_tracer-data"  # of Temporal's interceptor


def tracing_interceptors(tracer: Any) -> list[ClientInterceptor]:
    """Return the interceptors of a client, which its workers use too."""
    return [_MachinesApart(), TracingInterceptor(ContinuingTracer(tracer))]


class _MachinesApart(ClientInterceptor, Interceptor):
    """Ends a launch's trace with the launch: its machine's workflow may run for days and check it every minute."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _Workflow


class _Workflow(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    async def start_child_workflow(self, input: StartChildWorkflowInput) -> ChildWorkflowHandle[Any, Any]:
        input.headers = {name: value for name, value in input.headers.items() if name != _HEADER}
        return await super().start_child_workflow(input)
