"""Before an upgrade: with which running workflows a build could go on."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from composition.replay import report
from fleet.messages import machine_workflow_id
from launch.replay import replay_running
from launch.temporal_client import connect
from launch.workflow_client import EngineAddress
from tests.world import World


@workflow.defn(name="Sweep")
class OtherSweepWorkflow:
    """As another build may have it."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity("look_around", schedule_to_close_timeout=timedelta(minutes=1))


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(EngineAddress(temporal_address, "default", "unused"))


async def test_machines_that_run_can_be_gone_on_with(world: World) -> None:
    vm = await world.machine()
    handle = world.client.get_workflow_handle(machine_workflow_id(vm.id))
    task_queue = (await handle.describe()).task_queue or ""

    async def found() -> dict[str, str | None]:
        return {each.workflow_id: each.fault async for each in replay_running(world.client, task_queue)}

    async with asyncio.timeout(20):
        while handle.id not in (running := await found()):  # noqa: ASYNC110 - lists of workflows lag
            await asyncio.sleep(0.1)

    assert running[handle.id] is None


async def test_a_workflow_that_another_build_began_otherwise_is_named_with_its_fault(client: Client) -> None:
    begun = asyncio.Event()

    @activity.defn(name="look_around")
    async def look_around() -> None:
        begun.set()
        await asyncio.sleep(60)

    queue = f"replay-{secrets.token_hex(4)}"
    async with Worker(
        client,
        task_queue=queue,
        workflows=[OtherSweepWorkflow],
        activities=[look_around],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        sweep = await client.start_workflow(OtherSweepWorkflow.run, id=f"sweep-{queue}", task_queue=queue)
        await begun.wait()
        async with asyncio.timeout(20):
            while not (found := [each async for each in replay_running(client, queue)]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await sweep.terminate()

    (replayed,) = found
    assert replayed.workflow_id == sweep.id
    assert "look_around" in (replayed.fault or "")
    assert report(found).endswith("\nrunning workflows: 1; this build can continue 0 of them")
