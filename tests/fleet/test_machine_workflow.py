"""A machine's life after its launch: commands, idleness, limits, and what happens outside."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from errors import InvalidStateError, ProviderBusyError, ProviderRefusedError
from fleet.messages import Command
from fleet.sweep_plan import Verdict
from fleet.sweeper import Sweeper
from models.catalog import ConsoleType
from models.operator_alerts import OperatorAlertCode
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from providers.base import MachineState, ProviderName
from tests.world import World


async def test_a_stop_uploads_the_saves_first_and_the_meter_goes_on_with_storage_alone(world: World) -> None:
    vm = await world.machine()

    asked = await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert asked.status in {VmStatus.STOPPING, VmStatus.STOPPED}
    assert [slot.game_id for slot in world.streaming.uploaded][-1:] == ["mario-odyssey"]
    assert stopped.saves_pending is False
    assert world.cloud.states() == [MachineState.STOPPED_RELEASED]
    intervals = await world.db.find(UsageInterval, {"vm_id": vm.id}, sort=[("number", 1)])
    assert [(each.state, each.end is None) for each in intervals] == [
        (UsageState.RUNNING, False),
        (UsageState.STOPPED, True),
    ]
    assert intervals[0].end == intervals[1].start


async def test_stopping_twice_is_stopping_once(world: World) -> None:
    vm = await world.machine()

    await asyncio.gather(*(world.fleet.command(vm, Command.STOP, "asked") for _ in range(3)))
    await world.until(vm, VmStatus.STOPPED)

    again = await world.fleet.command(vm, Command.STOP, "asked")
    started = await world.fleet.command(vm, Command.START, "asked")
    assert again.status is VmStatus.STOPPED
    assert world.cloud.calls["stop"] == 1
    assert started.status in {VmStatus.STARTING, VmStatus.RUNNING}


async def test_a_stopped_machine_starts_again_and_gets_a_new_session_limit(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    await world.fleet.command(vm, Command.START, "asked")
    running = await world.until(vm, VmStatus.RUNNING)

    assert running.stops_at is not None
    assert vm.stops_at is not None
    assert running.stops_at > vm.stops_at
    assert running.stopped_at is None
    assert world.streaming.calls["wake"] == 1


async def test_a_running_machine_cannot_be_started_into_another_state(world: World) -> None:
    vm = await world.machine()

    assert (await world.fleet.command(vm, Command.START, "asked")).status is VmStatus.RUNNING
    await world.fleet.command(vm, Command.DELETE, "asked")
    deleted = await world.until(vm, VmStatus.DELETED)
    with pytest.raises(InvalidStateError) as refusal:
        await world.fleet.command(deleted, Command.START, "asked")

    assert refusal.value.status == "DELETED"
    assert world.cloud.calls["start"] == 0


async def test_a_delete_saves_first_and_ends_the_costs(world: World) -> None:
    vm = await world.machine()

    await world.fleet.command(vm, Command.DELETE, "asked")
    deleted = await world.until(vm, VmStatus.DELETED)

    assert world.cloud.rented == {}
    assert deleted.stops_at is None
    assert len(world.streaming.uploaded) >= 1
    assert [each.end is None for each in await world.db.find(UsageInterval, {"vm_id": vm.id})] == [False]


async def test_a_machine_whose_saves_cannot_be_uploaded_is_not_deleted(world: World) -> None:
    vm = await world.machine()
    world.streaming.always["upload_saves"] = ProviderRefusedError("the bucket is away")

    await world.fleet.command(vm, Command.DELETE, "asked")
    warned = await world.until_changed(vm, lambda now: now.status is VmStatus.RUNNING and now.saves_warning is not None)

    assert warned.saves_warning == "the saves could not be uploaded: the bucket is away"
    assert len(world.cloud.rented) == 1


async def test_a_stop_without_the_bucket_keeps_the_disk_and_says_so(world: World) -> None:
    vm = await world.machine()
    world.streaming.always["upload_saves"] = ProviderRefusedError("the bucket is away")

    await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.saves_pending is True
    assert len(world.cloud.rented) == 1


async def test_a_machine_that_nobody_plays_on_stops_by_itself(world: World) -> None:
    vm = await world.machine()
    long_ago = datetime.now(UTC) - timedelta(hours=2)

    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"last_activity_at": long_ago}})
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.detail == "no client was connected for 30 minutes"


async def test_a_machine_that_is_played_on_does_not(world: World) -> None:
    vm = await world.machine()
    world.streaming.in_use = True
    long_ago = datetime.now(UTC) - timedelta(hours=2)

    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"last_activity_at": long_ago}})

    await world.until_changed(vm, lambda now: now.last_activity_at is not None and now.last_activity_at > long_ago)
    assert (await world.again(vm)).status is VmStatus.RUNNING


async def test_the_session_limit_ends_even_a_game_in_play(world: World) -> None:
    vm = await world.machine()
    world.streaming.in_use = True

    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"stops_at": datetime.now(UTC) - timedelta(seconds=1)}})
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.detail == "the session limit of 8 hours is reached"


async def test_a_machine_that_vanishes_stops_costing(world: World) -> None:
    vm = await world.machine()

    world.cloud.vanish_all()
    gone = await world.until(vm, VmStatus.DELETED)

    assert gone.detail == "the cloud no longer knows this machine"
    assert [each.end is None for each in await world.db.find(UsageInterval, {"vm_id": vm.id})] == [False]


async def test_what_is_left_of_a_vanished_machine_costs_nothing_more_and_is_released(world: World) -> None:
    vm = await world.machine()

    world.cloud.become_all(MachineState.VANISHED)
    gone = await world.until(vm, VmStatus.DELETED)
    swept = await Sweeper(world.db, world.registry, Meter(world.db), spare_s=0).sweep()

    assert gone.detail == "the cloud no longer knows this machine"
    assert [each.end is None for each in await world.db.find(UsageInterval, {"vm_id": vm.id})] == [False]
    assert [(action.verdict, action.vm_id, action.done) for action in swept] == [(Verdict.DELETE, vm.id, True)]
    assert world.cloud.rented == {}


async def test_a_stopped_machine_that_vanishes_is_gone(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    world.cloud.become_all(MachineState.VANISHED)
    gone = await world.until(vm, VmStatus.DELETED)

    assert gone.detail == "the cloud no longer knows this machine"


async def test_a_machine_that_its_host_stopped_is_seen(world: World) -> None:
    vm = await world.machine()

    world.cloud.become_all(MachineState.STOPPED_RELEASED)
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.warning is not None
    assert stopped.warning.endswith("but not by this service: the machine was stopped at the cloud, not by us")
    (alert,) = await OperatorAlerts(world.db).find_newest(with_cleared=False, limit=10)
    assert (alert.code, alert.subject_id) == (OperatorAlertCode.MACHINE_STOPPED_BY_HOST, vm.id)
    assert stopped.detail == "the machine was stopped at the cloud, not by us"


async def test_a_machine_that_does_not_answer_is_asked_for_itself_whatever_an_old_list_says(world: World) -> None:
    vm = await world.machine()
    world.cloud.listed_as = MachineState.RUNNING

    world.cloud.become_all(MachineState.STOPPED_RELEASED)
    world.streaming.always["activity"] = ProviderBusyError("no route to host")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.detail == "the machine was stopped at the cloud, not by us"


async def test_a_machine_that_breaks_is_started_to_save_and_stopped_again(world: World) -> None:
    vm = await world.machine()

    world.cloud.become_all(MachineState.BROKEN)
    await world.until_changed(vm, lambda now: now.detail == "its cloud reports that the machine is broken")
    stopped = await world.until_changed(vm, lambda now: now.status is VmStatus.STOPPED and not now.saves_pending)

    assert stopped.saves_warning is None
    assert world.cloud.calls["start"] == 1
    assert world.cloud.states() == [MachineState.STOPPED_RELEASED]


async def test_a_machine_that_is_broken_for_good_is_kept_for_its_saves_and_says_so(world: World) -> None:
    vm = await world.machine()
    world.cloud.broken_for_good = True

    world.cloud.become_all(MachineState.BROKEN)
    stopped = await world.until_changed(vm, lambda now: now.saves_warning is not None)

    assert (stopped.status, stopped.saves_pending, stopped.billed_in_full) == (VmStatus.STOPPED, True, True)
    assert stopped.detail == "it could not be started: the cloud reports that it is broken"
    assert stopped.saves_warning == (
        "the latest saves exist on its disk alone: its cloud reports that the machine is broken, and it does not start"
    )
    assert [each.end is None for each in await world.db.find(UsageInterval, {"vm_id": vm.id})] == [True]
    # Its player wants to be rid of it: the saves hold that up, and the next try is not made without end.
    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until_changed(vm, lambda now: now.status is VmStatus.STARTING)
    kept = await world.until(vm, VmStatus.STOPPED)
    assert kept.saves_pending
    assert len(world.cloud.rented) == 1


async def test_a_machine_that_somebody_started_at_the_cloud_is_stopped_again(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    world.cloud.become_all(MachineState.RUNNING)
    await world.until_changed(vm, lambda now: now.detail == "the machine was started at the cloud, not by us")
    await world.until(vm, VmStatus.STOPPED)

    assert world.cloud.calls["stop"] == 2
    assert world.cloud.states() == [MachineState.STOPPED_RELEASED]


async def test_a_machine_that_was_stopped_for_too_long_is_deleted(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"stopped_at": datetime.now(UTC) - timedelta(hours=49)}})
    await world.until(vm, VmStatus.DELETED)

    assert world.cloud.rented == {}


async def test_a_near_stop_is_announced(world: World) -> None:
    vm = await world.machine()
    nearly = datetime.now(UTC) - timedelta(minutes=27)

    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"last_activity_at": nearly}})
    warned = await world.until_warned(vm)

    assert warned.stop_warning == "The machine stops in 3 minutes: no client is connected"


async def test_the_machine_carries_a_timer_of_its_own(world: World) -> None:
    await world.machine()

    await world.streaming.reached("arm_shutdown_timer")

    assert timedelta(hours=8) < timedelta(seconds=world.streaming.dead_man_s) <= timedelta(hours=8.5)


def test_prices_of_an_interval_add_up() -> None:
    interval = UsageInterval(
        id="1:1",
        vm_id="1",
        number=1,
        user_id="u",
        provider=ProviderName.TENSORDOCK,
        console=ConsoleType.SWITCH,
        state=UsageState.RUNNING,
        start=datetime.now(UTC),
        machine_usd_per_hour=Decimal("0.40"),
        storage_usd_per_hour=Decimal("0.01"),
    )

    assert interval.usd_per_hour == Decimal("0.41")
