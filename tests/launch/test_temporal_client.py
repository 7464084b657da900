"""Temporal's client when no worker does the work: its errors are ours."""

from __future__ import annotations

import secrets

import pytest

from errors import UnavailableError
from fleet.messages import Command, CommandRequest
from launch.temporal_client import TemporalWorkflowClient, connect
from launch.workflow_client import EngineAddress


@pytest.mark.timeout(60)
async def test_a_command_that_no_worker_takes_up_is_answered_as_unavailable(temporal_address: str) -> None:
    queue, vm_id = f"nobody-{secrets.token_hex(4)}", f"{secrets.randbelow(10**17) + 2 * 10**17}"
    client = await connect(EngineAddress(temporal_address, "default", queue))
    machine = await client.start_workflow("Machine", vm_id, id=f"machine-{vm_id}", task_queue=queue)

    with pytest.raises(UnavailableError):
        await TemporalWorkflowClient(client, queue).ask_machine(vm_id, CommandRequest(Command.STOP, "asked"))

    await machine.terminate()
