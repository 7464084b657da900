"""Temporal's client, with a response within seconds and its errors translated to ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic
from typing import Final, Self
from uuid import uuid4

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, Interceptor, RPCTimeoutOrCancelledError, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from errors import InvalidStateError, UnavailableError, UnusableError
from fleet.inputs import MachineInput
from fleet.message_forms import MESSAGES
from fleet.messages import (
    CommandRequest,
    CommandResult,
    MonitorState,
    PairingInput,
    PairResult,
    Pin,
    launch_workflow_id,
    machine_workflow_id,
)
from fleet.pairing_window import PAIRING, pairing_workflow_id
from launch.engine_faults import fault_of
from launch.image_refresh import REFRESH_IMAGES
from launch.messages import ImageRefresh, LaunchInput
from launch.workflow_client import EngineAddress
from tracing import spans

_CALL: Final = timedelta(seconds=5)
_ASKING: Final = timedelta(seconds=9)  # a machine lets a command wait a little for the end of the previous one
_PAIRING: Final = timedelta(seconds=50)
_REFRESHING: Final = timedelta(seconds=20)
_LISTING: Final = timedelta(seconds=20)
_PAGE: Final = 1000


async def connect(address: EngineAddress) -> Client:
    """Return a client with our data converter.

    Raises UnusableError, which explains what is wrong with the address, the namespace or the credentials, if Temporal
    cannot be used.
    """
    async with require_temporal(address):
        client = await Client.connect(
            address.host,
            namespace=address.namespace,
            api_key=address.api_key,
            tls=await asyncio.to_thread(_tls, address),
            data_converter=MESSAGES,
            interceptors=_interceptors(),
            runtime=_runtime(),
        )
        await _check_namespace(client)
        return client


def _interceptors() -> list[Interceptor]:
    """Return what continues traces through Temporal, if this process records any."""
    if (tracer := spans.tracer()) is None:
        return []
    from launch.tracing import tracing_interceptors  # noqa: PLC0415 - it loads OpenTelemetry's SDK

    return tracing_interceptors(tracer)


@cache
def _runtime() -> Runtime:
    """Return the runtime of all clients, which passes the log lines of Temporal's core to Python's logging."""
    forwarding = LogForwardingConfig(
        logging.getLogger("temporalio.core"),
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,
    )
    kept = TelemetryFilter(core_level="WARN", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(kept, forwarding)))


@asynccontextmanager
async def require_temporal(address: EngineAddress, within: timedelta = 2 * _CALL) -> AsyncIterator[None]:
    """Turn every failure of Temporal into UnusableError with one line for operators."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except (RPCError, TimeoutError, RPCTimeoutOrCancelledError, RuntimeError, ValueError) as error:
        raise UnusableError("Temporal does not respond", fault_of(error, address)) from error


async def _check_namespace(client: Client) -> None:
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), timeout=_CALL
    )


class TemporalWorkflowClient:
    """launch.workflow_client.WorkflowClient for a connected client, which reconnects by itself."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        *,
        asking: timedelta = _ASKING,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Set up the client. `asking` is how long a machine may take to begin a command; after that it must not."""
        self._client = client
        self.task_queue = task_queue
        self._asking = asking
        self._now = now

    @classmethod
    async def connect(cls, address: EngineAddress) -> Self:
        return cls(await connect(address), address.task_queue)

    async def start_launch(self, ticket: LaunchInput) -> None:
        async with _translate_errors():
            try:
                await self._client.start_workflow(
                    "Launch",
                    ticket,
                    id=launch_workflow_id(ticket.launch_id),
                    task_queue=self.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    rpc_timeout=_CALL,
                )
            except WorkflowAlreadyStartedError:
                return

    async def cancel_launch(self, launch_id: str) -> None:
        async with _translate_errors():
            await self._client.get_workflow_handle(launch_workflow_id(launch_id)).cancel(rpc_timeout=_CALL)

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        until = self._now() + self._asking
        give_up = monotonic() + self._asking.total_seconds()
        try:
            answer = await self._ask(vm_id, replace(asked, until=until))
            if answer.late and answer.at is not None and (left_s := give_up - monotonic()) > 0:
                # It was in time by our clock, which differs from Temporal's.
                until = answer.at + timedelta(seconds=left_s)
                answer = await self._ask(vm_id, replace(asked, until=until))
        except UnavailableError as error:
            raise _perhaps_done(error, until) from error
        if answer.late:
            raise UnavailableError("the command came too late and was not done")
        return answer

    async def _ask(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        async with _translate_errors(self._asking):
            answer: CommandResult = await self._client.get_workflow_handle(machine_workflow_id(vm_id)).execute_update(
                "ask", asked, result_type=CommandResult, rpc_timeout=self._asking
            )
        return answer

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        # A minute more for differing clocks; a PIN is valid for little longer.
        until = self._now() + _PAIRING + timedelta(minutes=1)
        try:
            async with _translate_errors(_PAIRING):
                paired: PairResult = await self._client.get_workflow_handle(machine_workflow_id(vm_id)).execute_update(
                    "pair", replace(pin, until=until), result_type=PairResult, rpc_timeout=_PAIRING
                )
        except UnavailableError as error:
            raise _perhaps_done(error, until) from error
        return paired

    async def start_machine(self, vm_id: str, *, abandoned: bool = False) -> bool:
        async with _translate_errors():
            try:
                await self._client.start_workflow(
                    "Machine",
                    MachineInput(vm_id, MonitorState(abandoned=abandoned)),
                    id=machine_workflow_id(vm_id),
                    task_queue=self.task_queue,
                    rpc_timeout=_CALL,
                )
            except WorkflowAlreadyStartedError:
                return False
        return True

    async def open_workflows(self) -> frozenset[str]:
        query = (
            f"ExecutionStatus = 'Running' AND WorkflowType IN ('Machine', 'Launch') AND TaskQueue = '{self.task_queue}'"
        )
        async with _translate_errors(_LISTING):
            found = self._client.list_workflows(query, page_size=_PAGE, rpc_timeout=_CALL)
            return frozenset([each.id async for each in found])

    async def is_open(self, workflow_id: str) -> bool:
        return await self._status(workflow_id) is WorkflowExecutionStatus.RUNNING

    async def was_started(self, workflow_id: str) -> bool:
        return await self._status(workflow_id) is not None

    async def _status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        """Return the status of the workflow's newest run; None if Temporal does not know it."""
        try:
            async with _translate_errors():
                found = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=_CALL)
        except InvalidStateError:
            return None
        return found.status

    async def start_pairing(self, pairing: PairingInput) -> None:
        async with _translate_errors():
            await self._client.start_workflow(
                PAIRING,
                pairing,
                id=pairing_workflow_id(pairing),
                task_queue=self.task_queue,
                rpc_timeout=_CALL,
            )

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        async with _translate_errors(_REFRESHING):
            handle = await self._client.start_workflow(
                REFRESH_IMAGES,
                refresh,
                id=f"refresh-images-{uuid4()}",
                task_queue=self.task_queue,
                rpc_timeout=_CALL,
            )
            await handle.result(rpc_timeout=_REFRESHING)

    async def ping(self) -> None:
        async with _translate_errors():
            if not await self._client.service_client.check_health(timeout=_CALL):
                raise UnavailableError("Temporal is not ready")


def _perhaps_done(error: UnavailableError, until: datetime) -> UnavailableError:
    """Return the error with a note on what may still happen to the command."""
    if isinstance(error, UnusableError):
        return error
    return UnavailableError(
        f"{error.message} in time: the command may have begun, and does not begin after {until:%H:%M:%S} UTC"
    )


@asynccontextmanager
async def _translate_errors(within: timedelta = 2 * _CALL) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise InvalidStateError("it is no longer running", status="ENDED") from error
        raise UnavailableError("Temporal does not respond") from error
    except (TimeoutError, RPCTimeoutOrCancelledError, RuntimeError) as error:
        raise UnavailableError("Temporal does not respond") from error


def _tls(address: EngineAddress) -> TLSConfig | bool:
    if address.tls_cert_path is None or address.tls_key_path is None:
        return address.api_key is not None
    return TLSConfig(
        client_cert=address.tls_cert_path.read_bytes(), client_private_key=address.tls_key_path.read_bytes()
    )
