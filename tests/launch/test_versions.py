"""Two builds side by side: which one gets new work, and who goes on with what the other one began."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle

from fleet.messages import CheckResult, Command, CommandRequest, CommandResult, MonitorState, machine_workflow_id
from fleet.spending_workflows import WatchSpendingWorkflow
from fleet.workflow import MachineWorkflow
from launch.temporal_client import connect
from launch.versions import WorkerVersions
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.vms import VmStatus

Handle = WorkflowHandle[MachineWorkflow, None] | WorkflowHandle[WatchSpendingWorkflow, int]
pytestmark = pytest.mark.timeout(120)

SEEN = datetime(2026, 5, 1, tzinfo=UTC)
QUICKLY = timedelta(seconds=1)


@dataclass
class Activities:
    """A machine that is well, and limits that are looked at; `number` tells builds apart.

    They take several arguments, as those of earlier builds do: what today's workflows send is understood there.
    """

    number: int
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name="status")
    async def status(self, vm_id: str) -> VmStatus:
        return VmStatus.RUNNING

    @activity.defn(name="look")
    async def look(self, vm_id: str, memory: MonitorState) -> CheckResult:
        return CheckResult(None, MonitorState(there_at=SEEN, silent=memory.silent + self.number), again_s=0.1)

    @activity.defn(name="enter")
    async def enter(
        self, vm_id: str, status: VmStatus, reason: str, billed: bool, found: str, since: datetime | None
    ) -> None: ...

    @activity.defn(name="save")
    async def save(self, vm_id: str) -> bool:
        return True

    @activity.defn(name="stop")
    async def stop(self, vm_id: str) -> dict[str, object]:
        return {"billed": False, "since": SEEN}

    @activity.defn(name="raise_alerts")
    async def raise_alerts(self) -> list[str]:
        self.asked.set()
        await self.go.wait()
        return []

    @activity.defn(name="stop_what_must")
    async def enforce_hard_limits(self) -> int:
        return self.number


@dataclass
class Build:
    activities: Activities
    versions: WorkerVersions
    stop: Callable[[], Awaitable[None]]

    async def settle(self) -> None:
        await until(self.versions.settle)


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await so():
                return
            await asyncio.sleep(0.1)


class Builds:
    """Workers of any build on one queue."""

    def __init__(self, client: Client, stack: AsyncExitStack) -> None:
        self.client = client
        self.queue = f"versions-{secrets.token_hex(4)}"
        self._stack = stack

    async def start(self, build_id: str | None, number: int = 0, gone_after: timedelta = timedelta(minutes=1)) -> Build:
        activities, stack = Activities(number), AsyncExitStack()
        await stack.enter_async_context(build_worker(self.client, self.queue, activities, build_id=build_id))
        self._stack.push_async_callback(stack.aclose)
        versions = WorkerVersions(self.client, self.queue, build_id, gone_after=gone_after)
        return Build(activities, versions, stack.aclose)

    async def machine(self) -> WorkflowHandle[MachineWorkflow, None]:
        """Start a machine's workflow with two arguments, as earlier builds do."""
        vm_id = secrets.token_hex(4)
        return await self.client.start_workflow(
            MachineWorkflow.run, args=[vm_id, None], id=machine_workflow_id(vm_id), task_queue=self.queue
        )

    async def watch(self) -> WorkflowHandle[WatchSpendingWorkflow, int]:
        return await self.client.start_workflow(
            WatchSpendingWorkflow.run, id=f"watch-{secrets.token_hex(4)}", task_queue=self.queue
        )


@pytest.fixture
async def builds(temporal_address: str) -> AsyncIterator[Builds]:
    client = await connect(EngineAddress(temporal_address, "default", "unused"))
    async with AsyncExitStack() as stack:
        builds = Builds(client, stack)
        yield builds
        # Those of this test: others share the engine.
        machines = f"ExecutionStatus = 'Running' AND WorkflowType = 'Machine' AND TaskQueue = '{builds.queue}'"
        async for each in client.list_workflows(machines):
            await client.get_workflow_handle(each.id).terminate()


async def build_of(workflow: Handle) -> str:
    """Return the build that did the workflow's last task; empty when it is not versioned."""
    info = (await workflow.describe()).raw_description.workflow_execution_info.versioning_info
    return info.deployment_version.build_id


async def until_on(build_id: str, machine: WorkflowHandle[MachineWorkflow, None]) -> None:
    async def there() -> bool:
        return await build_of(machine) == build_id

    await until(there)


async def test_a_new_build_gets_new_work_and_machines_move_to_it_with_their_memory(builds: Builds) -> None:
    old = await builds.start("old", number=1)
    await old.settle()
    machine = await builds.machine()
    await until_on("old", machine)

    new = await builds.start("new", number=100)
    await new.settle()
    await until_on("new", machine)

    latest = builds.client.get_workflow_handle(machine.id)
    started = (await latest.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.continued_execution_run_id == machine.first_execution_run_id
    assert b'"silent":0' not in started.input.payloads[1].data
    assert await latest.execute_update(
        "ask", CommandRequest(Command.STOP, "asked"), result_type=CommandResult
    ) == CommandResult(accepted=True, status=VmStatus.STOPPING)


async def test_what_an_old_build_began_ends_there(builds: Builds) -> None:
    old = await builds.start("old", number=1)
    await old.settle()
    watch = await builds.watch()
    await old.activities.asked.wait()

    new = await builds.start("new", number=2)
    await new.settle()
    old.activities.go.set()

    assert await watch.result() == 1


async def test_an_old_build_does_not_take_new_work_back_while_the_new_one_lives(builds: Builds) -> None:
    old = await builds.start("old", number=1)
    await old.settle()
    new = await builds.start("new", number=2)
    await new.settle()
    old.activities.go.set()
    new.activities.go.set()

    async def new_gets_work() -> bool:
        return await (await builds.watch()).result() == 2

    await until(new_gets_work)
    await old.settle()
    assert [await new_gets_work() for _ in range(3)] == [True, True, True]


async def test_what_is_pinned_to_a_build_without_workers_is_adopted_and_pinned_to_the_new_one(builds: Builds) -> None:
    old = await builds.start("old", number=1)
    await old.settle()
    machine, watch = await builds.machine(), await builds.watch()
    await until_on("old", machine)
    await old.activities.asked.wait()
    await old.stop()

    new = await builds.start("new", number=2, gone_after=QUICKLY)
    new.activities.go.set()

    async def adopted() -> bool:
        await new.settle()
        return await build_of(watch) == await build_of(machine) == "new" and not await has_override(machine)

    await until(adopted)
    assert await watch.result() == 2


async def test_a_build_whose_workers_come_back_goes_on_with_what_the_new_one_could_not(builds: Builds) -> None:
    old = await builds.start("old", number=1)
    await old.settle()
    watch = await builds.watch()
    await old.activities.asked.wait()
    await old.stop()
    new = await builds.start("new", number=2, gone_after=QUICKLY)
    await new.settle()
    await new.stop()

    async def adopted() -> bool:
        await new.versions.settle()
        return await has_override(watch)

    await until(adopted)
    again = await builds.start("old", number=3)
    again.activities.go.set()

    async def given_back() -> bool:
        await again.settle()
        return not await has_override(watch)

    await until(given_back)
    assert await watch.result() == 3


async def test_an_old_build_takes_over_when_the_workers_of_the_new_one_are_gone(builds: Builds) -> None:
    old = await builds.start("old", number=1, gone_after=QUICKLY)
    await old.settle()
    new = await builds.start("new", number=2)
    await new.settle()
    machine = await builds.machine()
    await until_on("new", machine)
    await new.stop()

    async def taken_over() -> bool:
        await old.settle()
        return await build_of(machine) == "old"

    await until(taken_over)
    old.activities.go.set()
    assert await (await builds.watch()).result() == 1


async def test_workers_without_a_build_id_take_over_from_versioned_ones_that_are_gone(builds: Builds) -> None:
    old = await builds.start("old", number=1)
    await old.settle()
    machine = await builds.machine()
    await until_on("old", machine)
    await old.stop()

    unversioned = await builds.start(None, number=2, gone_after=QUICKLY)

    async def taken_over() -> bool:
        await unversioned.settle()
        return await build_of(machine) == ""

    await until(taken_over)
    unversioned.activities.go.set()
    assert await (await builds.watch()).result() == 2


async def test_a_first_versioned_build_goes_on_with_what_workers_without_one_began(builds: Builds) -> None:
    before = await builds.start(None, number=1)
    await before.settle()
    machine = await builds.machine()

    async def watched() -> bool:
        return len((await machine.fetch_history()).events) > 10

    await until(watched)
    first = await builds.start("first", number=2)
    await first.settle()

    await until_on("first", machine)


async def has_override(workflow: Handle) -> bool:
    info = (await workflow.describe()).raw_description.workflow_execution_info.versioning_info
    return info.HasField("versioning_override")
