"""Launches over a real engine and a real database, with clouds and machines that can be told to fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from errors import (
    InvalidInputError,
    InvalidStateError,
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderRefusedError,
)
from fleet.activity_interceptor import is_worth_reporting
from fleet.messages import ActivityNote, Command
from fleet.progress_signals import EARLIER_TROUBLE_SIGNAL, NOTE_SIGNAL
from launch.step_tracking import STEP_OF_ACTIVITY
from models.launches import Launch, LaunchStatus, LaunchStepName, StepStatus
from models.vms import Vm, VmStatus
from providers.base import MachineState
from tests.world import World


async def test_a_launch_goes_through_all_nine_steps_and_ends_ready(world: World) -> None:
    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert [(step.name, step.status) for step in launch.steps] == [(name, StepStatus.DONE) for name in LaunchStepName]
    assert launch.progress == 1.0
    vm = await world.vm(launch)
    assert (vm.status, vm.place.city, vm.ip_address) == (VmStatus.RUNNING, "Dallas", "127.0.0.1")
    assert [attempt.outcome for attempt in launch.attempts] == ["rented"]


async def test_events_are_numbered_without_gaps_and_progress_never_falls(world: World) -> None:
    launch = await world.until_over(await world.launch())

    events = await world.events(launch)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.progress for event in events] == sorted(event.progress for event in events)
    told = [event.message for event in events]
    assert told.index("Installing the graphics driver") < told.index("The streaming server is installed")
    assert events[-1].status is LaunchStatus.READY


async def test_a_full_site_is_passed_over_and_remembered(world: World) -> None:
    world.cloud.full = {world.cloud.stock[0].id}

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert [(each.site_id, each.outcome) for each in launch.attempts] == [
        ("dallas", "No available nodes found"),
        ("chicago", "rented"),
    ]
    second = await world.until_over(await world.launch(user_id="player-2", caller_id="player-2"))
    assert [each.site_id for each in second.attempts] == ["chicago"]


async def test_when_every_site_is_full_the_launch_fails_and_nothing_is_rented(world: World) -> None:
    world.cloud.full = {site.id for site in world.cloud.stock}

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.FAILED
    assert [each.site_id for each in launch.attempts] == ["dallas", "chicago", "tallinn"]
    assert world.cloud.ever_rented == 0
    assert [vm.status for vm in await world.db.find(Vm, {"launch_id": launch.id})] == [VmStatus.FAILED]


async def test_a_lost_answer_does_not_rent_twice(world: World) -> None:
    world.cloud.lost_answers["rent"] = 1

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert world.cloud.ever_rented == 1
    assert len(world.cloud.rented) == 1


async def test_a_machine_that_breaks_is_given_back_and_the_next_place_is_tried(world: World) -> None:
    world.streaming.failures["install"] = [MachineLostError("the disk is broken")]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert [(each.site_id, each.outcome) for each in launch.attempts] == [
        ("dallas", "rented"),
        ("dallas", "failed: the disk is broken"),
        ("chicago", "rented"),
    ]
    assert len(world.cloud.rented) == 1
    statuses = {vm.place.city: vm.status for vm in await world.db.find(Vm, {"launch_id": launch.id})}
    assert statuses == {"Dallas": VmStatus.DELETED, "Chicago": VmStatus.RUNNING}


async def test_a_refusal_ends_the_launch_and_gives_the_machine_back(world: World) -> None:
    world.streaming.failures["mount_library"] = [ProviderRefusedError("the bucket says no")]

    launch = await world.until_over(await world.launch())

    assert (launch.status, launch.failure) == (LaunchStatus.FAILED, "the bucket says no")
    assert launch.steps[5].status is StepStatus.FAILED
    assert world.cloud.rented == {}
    assert (await world.vm(launch)).status is VmStatus.DELETED


async def test_a_busy_machine_is_asked_again(world: World) -> None:
    world.streaming.failures["verify_stream"] = [ProviderBusyError("not yet"), ProviderBusyError("not yet")]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert world.streaming.calls["verify_stream"] == 3


CANCEL_AT = [
    ("cloud", "sites"),
    ("cloud", "rent"),
    ("cloud", "machine"),
    ("streaming", "read_host_key"),
    ("streaming", "install"),
    ("streaming", "pull_image"),
    ("streaming", "mount_library"),
    ("streaming", "restore_saves"),
    ("streaming", "configure_game"),
    ("streaming", "verify_stream"),
]


@pytest.mark.parametrize(("where", "method"), CANCEL_AT, ids=[name for _, name in CANCEL_AT])
async def test_cancel_works_in_every_step_and_leaves_nothing(world: World, where: str, method: str) -> None:
    target = world.cloud if where == "cloud" else world.streaming
    launch = None
    if method == "sites":  # the order itself looks at the stock: the launch's own look is the one to hold
        launch = await world.launch()
        launch = await world.launches.cancel(launch)
    else:
        reached = target.hold(method)
        launch = await world.launch()
        await asyncio.wait_for(reached.wait(), 20)
        launch = await world.launches.cancel(launch)
        assert launch.status is LaunchStatus.CANCELLING
        target.let_go(method)

    over = await world.until_over(launch)

    assert over.status is LaunchStatus.CANCELLED
    assert world.cloud.rented == {}
    statuses = {vm.status for vm in await world.db.find(Vm, {"launch_id": launch.id})}
    assert statuses <= {VmStatus.DELETED, VmStatus.FAILED}


async def test_a_step_that_fails_because_it_is_cancelled_ends_no_launch_as_failed(world: World) -> None:
    world.streaming.when_cancelled["install"] = ProviderRefusedError("the connection broke")
    reached = world.streaming.hold("install")
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 20)

    over = await world.until_over(await world.launches.cancel(launch))

    assert (over.status, over.failure) == (LaunchStatus.CANCELLED, None)
    assert world.cloud.rented == {}
    assert world.cloud.ever_rented == 1


async def test_a_machine_turned_off_under_a_launch_that_saves_what_was_played_before_is_not_waited_for(
    world: World,
) -> None:
    await world.machine()
    saving = world.streaming.hold("upload_saves")
    launch = await world.launch()
    await asyncio.wait_for(saving.wait(), 20)

    world.cloud.become_all(MachineState.STOPPED_RELEASED)
    world.streaming.always["upload_saves"] = ProviderBusyError("nobody answers")
    world.streaming.let_go("upload_saves")
    over = await world.until_over(launch)

    assert (over.status, over.failure) == (
        LaunchStatus.FAILED,
        "the machine is no longer on: nobody answers",
    )


async def test_a_launch_that_is_over_cannot_be_cancelled(world: World) -> None:
    launch = await world.until_over(await world.launch())

    with pytest.raises(InvalidStateError) as refusal:
        await world.launches.cancel(launch)

    assert refusal.value.status == "READY"
    assert len(world.cloud.rented) == 1


async def test_a_second_launch_uses_the_machine_that_runs(world: World) -> None:
    first = await world.until_over(await world.launch())

    second = await world.until_over(await world.launch())

    assert second.status is LaunchStatus.READY
    assert second.vm_id == first.vm_id
    assert world.cloud.ever_rented == 1
    assert [step.status for step in second.steps][1:5] == [
        StepStatus.SKIPPED,
        StepStatus.SKIPPED,
        StepStatus.DONE,
        StepStatus.SKIPPED,
    ]


async def test_a_launch_starts_the_players_stopped_machine(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert launch.vm_id == vm.id
    assert (world.cloud.ever_rented, world.cloud.calls["start"]) == (1, 1)
    assert [step.status for step in launch.steps][:3] == [StepStatus.DONE, StepStatus.SKIPPED, StepStatus.DONE]


async def test_a_stopped_machine_whose_hardware_was_given_away_is_replaced(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.failures["start"] = [NoCapacityError("its GPU was given away")]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert launch.vm_id != vm.id
    assert world.cloud.ever_rented == 2
    assert world.streaming.slots[-1].game_id == "mario-odyssey"
    assert (await world.again(vm)).status is VmStatus.STOPPED


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (NOTE_SIGNAL, ActivityNote("connect", "apt is locked", failed=True)),
        (EARLIER_TROUBLE_SIGNAL, "apt is locked"),
    ],
    ids=["this build", "an earlier build"],
)
async def test_a_step_that_fails_and_is_repeated_says_so_until_it_has_succeeded(
    world: World, signal: str, reason: object
) -> None:
    reached = world.streaming.hold("read_host_key")
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 30)
    handle = world.client.get_workflow_handle(f"launch-{launch.id}")
    told = "Connecting to the machine: an attempt failed and is being repeated. apt is locked"

    await handle.signal(signal, reason)
    async with asyncio.timeout(20), world.db.watch(Launch, []) as changes:
        while (during := await world.now(launch)).trouble is None:
            await changes.try_next()
    world.streaming.let_go("read_host_key")
    after = await world.until_over(launch)

    assert (during.trouble, after.trouble) == (told, None)
    assert (during.warnings or "").endswith(told)
    assert told in [event.message for event in await world.events(launch)]


@pytest.mark.parametrize(
    ("activity", "workflow_id", "attempt", "age_s", "told"),
    [
        ("install", "launch-1", 1, 600, True),
        ("install", "launch-1", 1, 5, False),  # it may heal within seconds
        ("install", "launch-1", 3, 600, False),  # ever more rarely: 1, 2, 4, 8, ...
        ("install", "launch-1", 4, 600, True),
        ("tell", "launch-1", 1, 600, False),
        ("look", "machine-1", 1, 600, False),
    ],
)
def test_which_failed_tries_a_player_hears_of(
    activity: str, workflow_id: str, attempt: int, age_s: float, told: bool
) -> None:
    now = datetime.now(UTC)
    info = replace(
        ActivityEnvironment().info,
        activity_type=activity,
        workflow_id=workflow_id,
        attempt=attempt,
        scheduled_time=now - timedelta(seconds=age_s),
    )

    assert is_worth_reporting(info, now) is told


@pytest.mark.parametrize("activity", STEP_OF_ACTIVITY)
def test_a_player_hears_of_failed_tries_of_every_step(activity: str) -> None:
    now = datetime.now(UTC)
    info = ActivityEnvironment().info
    info = replace(
        info, activity_type=activity, workflow_id="launch-1", attempt=1, scheduled_time=now - timedelta(minutes=1)
    )

    assert is_worth_reporting(info, now)


async def test_a_running_machine_above_the_cap_is_not_reused(world: World) -> None:
    running = await world.machine()
    await world.db.update(Vm, {"_id": running.id}, {"$set": {"usd_per_hour": Decimal("0.90")}})

    launch = await world.until_over(await world.launch(max_usd_per_hour=Decimal("0.50")))
    cheap = await world.until_over(await world.launch(max_usd_per_hour=Decimal("0.50")))

    assert launch.status is LaunchStatus.READY
    assert launch.vm_id != running.id
    assert cheap.vm_id == launch.vm_id


async def test_a_machine_that_is_asked_for_must_keep_to_the_cap(world: World) -> None:
    running = await world.machine()

    with pytest.raises(InvalidInputError) as refused:
        await world.launch(vm_id=running.id, max_usd_per_hour=Decimal("0.10"))

    assert refused.value.path == ("maxHourlyPrice",)
    assert "maxHourlyPrice allows 0.1 USD per hour" in refused.value.message
    assert await world.db.count(Launch, {}) == 1


async def test_two_players_never_share_a_machine(world: World) -> None:
    first = await world.machine()

    second = await world.vm(await world.until_over(await world.launch(user_id="player-2", caller_id="player-2")))

    assert second.id != first.id
    assert world.cloud.ever_rented == 2


async def test_a_failing_launch_leaves_the_machine_that_it_only_used(world: World) -> None:
    await world.until_over(await world.launch())
    world.streaming.failures["configure_game"] = [ProviderRefusedError("no such emulator")]

    second = await world.until_over(await world.launch())

    assert second.status is LaunchStatus.FAILED
    assert len(world.cloud.rented) == 1
    assert (await world.vm(second)).status is VmStatus.RUNNING


async def test_a_machine_without_a_game_ends_when_it_streams(world: World) -> None:
    launch = await world.until_over(await world.launch(game_id=None))

    assert launch.status is LaunchStatus.READY
    assert [(game.game_id, game.rom) for game in world.streaming.configured] == [(None, None)]
    assert [slot.game_id for slot in world.streaming.slots] == [None]


async def test_a_deletion_that_the_cloud_delays_is_waited_for(world: World) -> None:
    world.streaming.failures["mount_library"] = [ProviderRefusedError("no")]
    world.cloud.failures["release"] = [ProviderBusyError("500"), ProviderBusyError("500")]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.FAILED
    assert world.cloud.rented == {}
    assert world.cloud.calls["release"] == 3


async def test_an_estimate_is_learned_from_earlier_launches(world: World) -> None:
    await world.until_over(await world.launch())
    reached = world.streaming.hold("install")

    second = await world.launch(user_id="player-2", caller_id="player-2")
    await asyncio.wait_for(reached.wait(), 20)

    now = await world.now(second)
    assert now.estimated_ready_at is not None
    assert now.estimated_ready_at > now.requested_at
    world.streaming.let_go("install")
    await world.until_over(second)


async def test_no_capacity_at_all_is_told_when_the_place_is_chosen(world: World) -> None:
    world.cloud.failures["rent"] = [NoCapacityError("gone")]
    world.cloud.stock = world.cloud.stock[:1]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.FAILED
    assert [each.outcome for each in launch.attempts] == ["gone"]


async def test_a_cancel_that_comes_while_a_failure_is_undone_interrupts_nothing(world: World) -> None:
    world.streaming.failures["mount_library"] = [ProviderRefusedError("no bucket")]
    releasing = world.cloud.hold("release")
    launch = await world.launch()
    await asyncio.wait_for(releasing.wait(), 30)

    await world.launches.cancel(await world.now(launch))
    world.cloud.let_go("release")
    ended = await world.until_over(launch)

    assert ended.status in {LaunchStatus.CANCELLED, LaunchStatus.FAILED}
    assert world.cloud.rented == {}
    assert (await world.vm(launch)).status is VmStatus.DELETED
