"""What became of the saves decides what may be done with a machine, and is told to its player."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from errors import MachineLostError, NoCapacityError, ProviderBusyError, ProviderRefusedError
from fleet.messages import Command
from models.launches import Launch, LaunchStatus
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from placement.coordinates import Position
from providers.base import MachineState, ProviderName
from streaming.saves.survey import LeftOut
from streaming.saves.transfer import UploadOutcome
from tests.world import World

TALLINN = Position(59.437, 24.7536)


UNSAFE = [
    (UploadOutcome.NOT_RESTORED, (), "The saves on this machine were never restored completely"),
    (UploadOutcome.VANISHED, (), "The save folder on this machine is empty, although it had files before"),
    (UploadOutcome.UPLOADED, (LeftOut("saves/a.srm", "cannot be read"),), "saves/a.srm cannot be read"),
]


@pytest.mark.parametrize(("outcome", "left_out", "why"), UNSAFE)
async def test_no_other_game_is_set_up_over_saves_that_are_on_the_machine_alone(
    world: World, outcome: UploadOutcome, left_out: tuple[LeftOut, ...], why: str
) -> None:
    vm = await world.machine()
    world.streaming.outcome, world.streaming.left_out = outcome, left_out

    refused = await world.until_over(await world.launch(game_id="splatoon", vm_id=vm.id))

    assert refused.status is LaunchStatus.FAILED
    assert (refused.failure or "").startswith(
        "Saves of mario-odyssey exist on this machine alone. Launch mario-odyssey with the same save on it again, "
        "or delete the machine and accept the loss. "
    )
    assert why in (refused.failure or "")
    kept = await world.again(vm)
    assert (kept.status, kept.game_launch_id, kept.saves_pending) == (VmStatus.RUNNING, vm.game_launch_id, True)
    assert [slot.game_id for slot in world.streaming.slots] == ["mario-odyssey"]


@pytest.mark.parametrize("save_id", ["main", "second"])
async def test_the_same_game_is_launched_again_whose_restore_looks_after_what_is_there(
    world: World, save_id: str
) -> None:
    vm = await world.machine()
    world.streaming.outcome = UploadOutcome.NOT_RESTORED

    again = await world.until_over(await world.launch(vm_id=vm.id, save_id=save_id))

    assert (again.status, again.vm_id) == (LaunchStatus.READY, vm.id)
    assert [slot.save_id for slot in world.streaming.slots] == ["main", save_id]


async def test_two_saves_of_one_game_are_both_kept_and_the_player_is_told(world: World) -> None:
    vm = await world.machine()
    world.streaming.outcome = UploadOutcome.CONFLICT

    await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.saves_pending is False
    assert (stopped.warnings or "").startswith("Another machine has saved this game in the meantime. Nothing is lost")


async def test_saves_that_were_not_uploaded_are_still_pending_and_the_machine_is_not_deleted(world: World) -> None:
    vm = await world.machine()
    world.streaming.outcome = UploadOutcome.NOT_RESTORED

    await world.fleet.command(vm, Command.DELETE, "asked")
    kept = await world.until_changed(
        vm, lambda now: now.status is VmStatus.RUNNING and now.detail == "its saves could not be secured"
    )

    assert kept.saves_pending is True
    assert (kept.warnings or "").startswith("The saves on this machine were never restored completely")
    assert len(world.cloud.rented) == 1


async def test_a_machine_whose_save_folder_is_suddenly_empty_is_not_deleted(world: World) -> None:
    vm = await world.machine()
    world.streaming.outcome = UploadOutcome.VANISHED

    await world.fleet.command(vm, Command.DELETE, "asked")
    kept = await world.until_changed(
        vm, lambda now: now.status is VmStatus.RUNNING and now.detail == "its saves could not be secured"
    )

    assert kept.saves_pending is True
    assert (kept.warnings or "").startswith("The save folder on this machine is empty, although it had files before")
    assert len(world.cloud.rented) == 1


async def test_a_machine_with_a_save_that_no_upload_takes_is_not_deleted_and_the_save_is_named(world: World) -> None:
    vm = await world.machine()
    world.streaming.left_out = tuple(LeftOut(f"saves/{name}.srm", "cannot be read") for name in "abcd")

    await world.fleet.command(vm, Command.DELETE, "asked")
    kept = await world.until_changed(
        vm, lambda now: now.status is VmStatus.RUNNING and now.detail == "its saves could not be secured"
    )

    assert kept.saves_pending is True
    assert kept.warnings == (
        "Some saves could not be uploaded and exist on this machine alone: saves/a.srm cannot be read; "
        "saves/b.srm cannot be read; saves/c.srm cannot be read; 1 more"
    )
    assert len(world.cloud.rented) == 1


@pytest.mark.parametrize("stopped_first", [False, True])
async def test_a_player_who_accepts_the_named_loss_gets_the_machine_deleted(world: World, stopped_first: bool) -> None:
    vm = await world.machine()
    world.streaming.left_out = (LeftOut("saves/a.srm", "cannot be read"),)
    await world.fleet.command(vm, Command.STOP if stopped_first else Command.DELETE, "asked")
    kept = await world.until_changed(
        vm,
        lambda now: (
            now.status is (VmStatus.STOPPED if stopped_first else VmStatus.RUNNING) and now.saves_warning is not None
        ),
    )

    await world.fleet.command(kept, Command.DELETE, "asked", discard=True)
    gone = await world.until(vm, VmStatus.DELETED)

    assert world.cloud.rented == {} or not world.cloud.states()
    assert "saves/a.srm cannot be read" in (gone.saves_warning or "")


@pytest.mark.parametrize("decided_at", [datetime(2026, 1, 1, tzinfo=UTC), None])
async def test_an_interrupted_deletion_is_finished_when_it_was_decided_and_else_keeps_the_saves(
    world: World, decided_at: datetime | None
) -> None:
    vm = await world.machine()
    world.streaming.always["end_sessions"] = ProviderRefusedError("it is half deleted")
    deleting = {"status": VmStatus.DELETING, "saves_pending": True, "deletion_decided_at": decided_at}

    await world.db.update(Vm, {"_id": vm.id}, {"$set": deleting})
    ended = await world.until_changed(vm, lambda now: now.status in {VmStatus.DELETED, VmStatus.RUNNING})

    assert ended.status is (VmStatus.RUNNING if decided_at is None else VmStatus.DELETED)
    assert len(world.cloud.rented) == (1 if decided_at is None else 0)


async def test_a_loss_that_was_not_named_before_is_not_accepted_in_advance(world: World) -> None:
    vm = await world.machine()
    world.streaming.left_out = (LeftOut("saves/a.srm", "cannot be read"),)

    await world.fleet.command(vm, Command.DELETE, "asked", discard=True)
    kept = await world.until_changed(
        vm, lambda now: now.status is VmStatus.RUNNING and now.detail == "its saves could not be secured"
    )

    assert "saves/a.srm cannot be read" in (kept.warnings or "")
    assert len(world.cloud.rented) == 1


async def test_a_stopped_machine_whose_saves_cannot_be_rescued_is_stopped_again(world: World) -> None:
    vm = await world.machine()
    world.streaming.always["upload_saves"] = ProviderRefusedError("the bucket is away")
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until(vm, VmStatus.RUNNING)
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.saves_pending is True
    assert world.cloud.states() == [MachineState.STOPPED_RELEASED]


async def test_what_is_well_again_is_not_warned_of_any_more(world: World) -> None:
    vm = await world.machine()
    world.streaming.failures["upload_saves"] = [ProviderRefusedError("the bucket is away")] * 3
    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until_changed(vm, lambda now: now.status is VmStatus.RUNNING and now.saves_warning is not None)
    world.streaming.failures.clear()

    await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.warnings is None
    assert stopped.saves_pending is False


async def test_what_is_played_on_a_machine_without_a_game_is_kept_too(world: World) -> None:
    vm = await world.vm(await world.until_over(await world.launch(game_id=None)))

    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    assert [(slot.game_id, slot.save_id) for slot in world.streaming.slots] == [(None, "main")]
    assert (world.streaming.uploaded[-1].game_id, world.streaming.uploaded[-1].save_id) == (None, "main")


async def test_a_machine_that_its_cloud_lost_but_that_still_answers_gives_its_saves(world: World) -> None:
    vm = await world.machine()
    await world.streaming.reached("arm_shutdown_timer")
    before = world.streaming.calls["end_sessions"]

    world.cloud.vanish_all()
    lost = await world.until(vm, VmStatus.DELETED)

    assert world.streaming.calls["end_sessions"] == before + 1
    assert (lost.saves_pending, lost.warnings) == (False, None)


async def test_a_machine_that_is_lost_with_its_saves_says_so(world: World) -> None:
    vm = await world.machine()
    world.streaming.always["end_sessions"] = MachineLostError("no route")

    world.cloud.vanish_all()
    lost = await world.until(vm, VmStatus.DELETED)

    assert lost.saves_pending is True
    assert "is lost" in (lost.warnings or "")


async def test_a_machine_that_switched_itself_off_is_started_to_save_and_then_given_back(world: World) -> None:
    vm = await world.machine()
    await world.streaming.reached("arm_shutdown_timer")
    before = world.streaming.calls["end_sessions"]

    world.cloud.become_all(MachineState.STOPPED)
    stopped = await world.until_changed(
        vm, lambda now: now.status is VmStatus.STOPPED and not now.billed_in_full and not now.saves_pending
    )

    assert world.streaming.calls["end_sessions"] == before + 1
    assert world.cloud.states() == [MachineState.STOPPED_RELEASED]
    assert stopped.detail == "the machine was stopped at the cloud, not by us"


async def test_hardware_that_the_cloud_keeps_is_metered_in_full(world: World) -> None:
    vm = await world.machine()
    world.cloud.keeps_hardware = True

    await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.billed_in_full is True
    intervals = await world.db.find(UsageInterval, {"vm_id": vm.id})
    assert [(each.state, each.end) for each in intervals] == [(UsageState.RUNNING, None)]


async def test_a_game_whose_machine_lost_its_hardware_goes_on_on_another(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.given_away = True

    await world.fleet.command(vm, Command.START, "asked")
    replaced = await world.until_changed(vm, lambda now: now.replacement_launch_id is not None)
    launch = await world.db.get(Launch, replaced.replacement_launch_id)
    assert launch is not None
    other = await world.vm(await world.until_over(launch))

    assert (other.status, other.id != vm.id, other.game_id) == (VmStatus.RUNNING, True, "mario-odyssey")
    assert (await world.again(vm)).status is VmStatus.STOPPED
    assert world.streaming.slots[-1] == world.streaming.slots[0]


async def test_a_replacement_keeps_the_launchs_terms_and_leaves_the_machine_that_is_gone_alone(world: World) -> None:
    terms = {"provider": ProviderName.TENSORDOCK, "max_usd_per_hour": Decimal("0.50"), "save_id": "second"}
    asked = await world.until_over(await world.launch(near=TALLINN, **terms))
    vm = await world.vm(asked)
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.given_away = True
    await world.fleet.command(vm, Command.START, "asked")
    replaced = await world.until_changed(vm, lambda now: now.replacement_launch_id is not None)

    launch = await world.db.get(Launch, replaced.replacement_launch_id)
    assert launch is not None
    launch = await world.until_over(launch)

    assert (launch.provider, launch.max_usd_per_hour, launch.save_id) == tuple(terms.values())
    assert (launch.latitude, launch.longitude) == (TALLINN.latitude, TALLINN.longitude)
    assert launch.replaces_vm_id == vm.id
    assert world.cloud.calls["start"] == 1
    kept = await world.again(vm)
    assert kept.status is VmStatus.STOPPED
    assert kept.warning == "Its hardware was given away: another machine is being set up with the same game and saves"


async def test_a_start_that_fails_again_keeps_the_warning_and_sets_no_second_machine_up(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.given_away = True
    reached = world.streaming.hold("install")
    await world.fleet.command(vm, Command.START, "asked")
    first = await world.until_changed(vm, lambda now: now.replacement_launch_id is not None)
    await asyncio.wait_for(reached.wait(), 20)

    starting = world.cloud.hold("start")
    await world.fleet.command(vm, Command.START, "asked")
    await asyncio.wait_for(starting.wait(), 20)
    warned = (await world.again(vm)).warning
    world.cloud.let_go("start")
    again = await world.until(vm, VmStatus.STOPPED)
    world.streaming.let_go("install")
    launch = await world.db.get(Launch, first.replacement_launch_id)
    assert launch is not None
    await world.until_over(launch)

    assert warned == first.warning
    assert again.replacement_launch_id == first.replacement_launch_id
    assert await world.db.count(Launch, {"replaces_vm_id": vm.id}) == 1


async def test_a_launch_that_finds_the_hardware_given_away_replaces_it_once(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.failures["start"] = [NoCapacityError("its hardware was given away")]

    other = await world.machine()

    assert other.id != vm.id
    assert len(world.cloud.rented) == 2
    assert (await world.again(vm)).replacement_launch_id is None


async def test_a_host_key_is_forgotten_when_the_start_makes_the_server_anew(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.make_anew_by_start()
    world.streaming.host_key = "ssh-ed25519 another"

    await world.fleet.command(vm, Command.START, "asked")
    running = await world.until(vm, VmStatus.RUNNING)

    assert running.ssh_host_key == "ssh-ed25519 another"


async def test_another_host_key_on_the_same_server_is_refused(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.streaming.host_key = "ssh-ed25519 another"

    await world.fleet.command(vm, Command.START, "asked")
    stopped = await world.until_changed(
        vm, lambda now: now.status is VmStatus.STOPPED and (now.detail or "").startswith("it could not be started")
    )

    assert stopped.ssh_host_key == vm.ssh_host_key
    assert world.cloud.states() == [MachineState.STOPPED_RELEASED]


async def test_a_busy_bucket_only_delays_a_stop(world: World) -> None:
    vm = await world.machine()
    world.streaming.failures["upload_saves"] = [ProviderBusyError("503")] * 2

    await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert (stopped.saves_pending, stopped.warnings) == (False, None)


async def test_a_stop_does_not_wait_for_the_saves_of_a_machine_that_is_off(world: World) -> None:
    vm = await world.machine()
    world.streaming.always["end_sessions"] = ProviderBusyError("no route")
    reached = world.streaming.hold("end_sessions")
    await world.fleet.command(vm, Command.STOP, "asked")
    await reached.wait()

    world.cloud.become_all(MachineState.STOPPED_RELEASED)
    world.streaming.let_go("end_sessions")
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert stopped.saves_pending is True
    assert "the machine is no longer on" in (stopped.warnings or "")


async def test_a_machine_that_vanished_costs_nothing_since_it_was_there_last(world: World) -> None:
    vm = await world.machine()
    await world.streaming.reached("arm_shutdown_timer")
    rescue = world.streaming.hold("end_sessions")

    world.cloud.vanish_all()
    gone_by = datetime.now(UTC)
    await rescue.wait()
    world.streaming.let_go("end_sessions")
    await world.until(vm, VmStatus.DELETED)

    (interval,) = await world.db.find(UsageInterval, {"vm_id": vm.id})
    assert interval.end is not None
    assert interval.start < interval.end <= gone_by
