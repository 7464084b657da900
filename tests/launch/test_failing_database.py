"""A launch while the database refuses its writes: each in its turn, or all of them for a while."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from temporalio.client import WorkflowExecutionStatus

from errors import ProviderRefusedError
from fleet.commands import launch_workflow_id
from models.launches import Launch, LaunchStatus
from models.usage import UsageInterval
from models.vms import Vm, VmStatus
from tests.fault_proxy import WRITES, Command, Error, Fault, FaultProxy
from tests.world import World

# Some hundred attempts of activities take a busy machine longer than the time that other tests have.
pytestmark = pytest.mark.timeout(240)
ERRORS = (
    Error(10107, "NotWritablePrimary"),
    Error(262, "ExceededTimeLimit"),
    Error(13, "Unauthorized"),
    Error(8000, "AtlasError"),
    Error(14031, "OutOfDiskSpace", write_concern=True),
    Error(777_777, "FromAVersionToCome"),
)


def once_each() -> Callable[[Command], bool]:
    """True for the first time that a write comes, whatever its times are."""
    seen: set[str] = set()

    def is_new(command: Command) -> bool:
        return (key := _key(command)) not in seen and not seen.add(key)  # type: ignore[func-returns-value]

    return is_new


def _key(command: Command) -> str:
    body, documents = command.body, command.documents
    changed = body.get("update", {})
    number = changed.get("$set", {}).get("last_sequence") if isinstance(changed, dict) else None
    fields = sorted(changed.get("$set", changed)) if isinstance(changed, dict) else []
    which = [document.get("_id", document.get("q")) for document in documents]
    return repr((command.name, command.collection, body.get("query", {}).get("_id"), number, fields, which))


async def agrees(world: World, launch: Launch) -> Launch:
    """The launch at its end, when records, events, meter, cloud and workflow say the same."""
    ended = await world.until_over(launch)
    run = await world.client.get_workflow_handle(launch_workflow_id(launch.id)).describe()
    events = await world.events(ended)
    vms = await world.db.find(Vm, {"launch_id": launch.id})
    running = [vm for vm in vms if vm.status is VmStatus.RUNNING]
    metered = await world.db.find(UsageInterval, {"end": None})
    assert [event.sequence for event in events] == list(range(1, ended.last_sequence + 1))
    assert {vm.status for vm in vms} <= {VmStatus.RUNNING, VmStatus.DELETED, VmStatus.FAILED}
    assert sorted(world.cloud.rented) == sorted(str(vm.provider_id) for vm in running)
    assert [each.vm_id for each in metered] == [vm.id for vm in running]
    assert run.status in {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.RUNNING}
    return ended


def each_fails_once(faults: FaultProxy) -> list[Fault]:
    """Every write of the service fails the first time that it is tried, each with the next of ERRORS."""
    is_new, turn = once_each(), itertools.count()
    now: list[int] = []

    def meets(index: int) -> Callable[[Command], bool]:
        def when(command: Command) -> bool:
            if index == 0:
                now[:] = [next(turn) % len(ERRORS)] if is_new(command) else []
            return now == [index]

        return when

    return [faults.add(Fault(WRITES, error=error, when=meets(index))) for index, error in enumerate(ERRORS)]


async def test_a_launch_becomes_ready_although_every_write_fails_once(faulty_world: World, faults: FaultProxy) -> None:
    launch = await faulty_world.launch()
    every = each_fails_once(faults)

    ready = await agrees(faulty_world, launch)

    assert ready.status is LaunchStatus.READY
    assert min(fault.met for fault in every) >= 5
    assert faulty_world.cloud.ever_rented == 1


async def test_a_launch_that_fails_leaves_nothing_although_every_write_fails_once(
    faulty_world: World, faults: FaultProxy
) -> None:
    faulty_world.streaming.failures["mount_library"] = [ProviderRefusedError("no bucket")]
    launch = await faulty_world.launch()
    each_fails_once(faults)

    failed = await agrees(faulty_world, launch)

    assert (failed.status, failed.failure) == (LaunchStatus.FAILED, "no bucket")
    assert (faulty_world.cloud.ever_rented, faulty_world.cloud.rented) == (1, {})


async def test_a_cancelled_launch_leaves_nothing_although_every_write_fails_once(
    faulty_world: World, faults: FaultProxy
) -> None:
    reached = faulty_world.streaming.hold("install")
    launch = await faulty_world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    cancelling = await faulty_world.launches.cancel(launch)
    each_fails_once(faults)

    cancelled = await agrees(faulty_world, cancelling)

    assert cancelled.status is LaunchStatus.CANCELLED
    assert faulty_world.cloud.rented == {}


async def test_a_machine_is_given_back_while_the_database_takes_no_word_of_it(
    faulty_world: World, faults: FaultProxy
) -> None:
    reached = faulty_world.streaming.hold("install")
    launch = await faulty_world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    asked = faulty_world.cloud.after_calls("release", 1)
    await faulty_world.launches.cancel(launch)

    with faults.fault(Fault([*WRITES, "find"], error=ERRORS[3])):
        await asyncio.wait_for(asked.wait(), 20)
        still = await faulty_world.now(launch)
    cancelled = await agrees(faulty_world, launch)

    assert still.status is LaunchStatus.CANCELLING
    assert cancelled.status is LaunchStatus.CANCELLED


@pytest.mark.parametrize("how", ["reset", "lose_answer"])
async def test_a_launch_becomes_ready_although_connections_break_at_every_third_write(
    faulty_world: World, faults: FaultProxy, how: str, forgotten_sockets: None
) -> None:
    launch = await faulty_world.launch()
    count = iter(range(10_000))
    broken = Fault(WRITES, when=lambda command: next(count) % 3 == 0)
    setattr(broken, how, True)
    faults.add(broken)

    ready = await agrees(faulty_world, launch)

    assert ready.status is LaunchStatus.READY
    assert faulty_world.cloud.ever_rented == 1
