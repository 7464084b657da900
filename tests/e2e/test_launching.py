"""A player launches a game: real processes, real protocols, simulated clouds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from models.launches import LaunchStepName
from tests.e2e.service import Deployment

pytestmark = pytest.mark.timeout(150)


def told(event: dict[str, Any]) -> dict[str, Any]:
    """The event itself; the launch beside it is shown as it is when the event is sent."""
    return {name: value for name, value in event.items() if name != "launch"}


async def test_a_launch_ends_ready_on_one_machine(deployed: Deployment) -> None:
    gateway = await deployed.gateway()
    deployed.worker()

    events = await gateway.until_over(await gateway.launch())

    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["status"], events[-1]["progress"]) == ("READY", 1.0)
    done = [event["step"] for event in events if event["stepStatus"] == "DONE"]
    steps = [step.value for step in LaunchStepName]
    assert sorted(done, key=steps.index) == steps
    assert (done[:4], done[-2:]) == (steps[:4], steps[-2:])  # what lies between runs side by side
    told_of_the_pull = [event["message"] for event in events if "layers" in event["message"]]
    assert told_of_the_pull[-1] == "Fetching the emulator: 6 of 6 layers"
    assert len(await deployed.machines()) == 1


async def test_two_gateways_tell_the_same_story(deployed: Deployment) -> None:
    first, second = await asyncio.gather(deployed.gateway(), deployed.gateway())
    deployed.worker()
    launch_id = await first.launch()

    one, other = await asyncio.gather(first.until_over(launch_id), second.until_over(launch_id))

    assert [told(event) for event in one] == [told(event) for event in other]
    assert [event["sequence"] async for event in second.follow(launch_id, after=3)] == [
        event["sequence"] for event in one[3:]
    ]


async def test_one_key_asked_for_at_the_same_moment_is_one_launch(deployed: Deployment) -> None:
    first, second = await asyncio.gather(deployed.gateway(), deployed.gateway())
    deployed.worker()

    ids = await asyncio.gather(
        *(gateway.launch(idempotencyKey="one-wish") for gateway in (first, second, first, second))
    )
    await first.until_over(ids[0])

    assert len(set(ids)) == 1
    assert len(await deployed.machines()) == 1


@pytest.mark.parametrize(
    ("step", "word"), [*((step.value, "") for step in LaunchStepName), ("CONFIGURE_GAME", "layers")]
)
async def test_a_worker_killed_in_any_step_is_replaced_and_one_machine_is_left(
    deployed: Deployment, step: str, word: str
) -> None:
    gateway = await deployed.gateway()
    worker = deployed.worker()
    launch_id = await gateway.launch()
    async for event in gateway.follow(launch_id):
        if event["step"] == step and event["stepStatus"] == "RUNNING" and word in event["message"]:
            worker.kill()
            break

    deployed.worker()
    events = await gateway.until_over(launch_id)

    assert events[-1]["status"] == "READY"
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    machines = await deployed.machines()
    assert len(machines) == 1


async def test_a_cancelled_launch_leaves_no_machine(deployed: Deployment) -> None:
    gateway = await deployed.gateway()
    deployed.worker()
    launch_id = await gateway.launch()
    async for event in gateway.follow(launch_id):
        if event["step"] == "INSTALL_STREAMING":
            break

    answer = await gateway.data("CancelLaunch", {"launchId": launch_id})
    events = await gateway.until_over(launch_id)

    assert answer["cancelLaunch"]["errors"] == []
    assert events[-1]["status"] == "CANCELLED"
    assert await deployed.machines() == []
