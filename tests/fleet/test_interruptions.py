"""Machines that Google takes or stops: the warning, the saves within the notice, and the player's next machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from errors import GatewayError, ProviderBusyError, UnavailableError
from fleet.interruptions import InterruptionActivities, NoticeSeen, NoticeWait, TakenMachine, TimedSave
from fleet.messages import Command
from models.audit import AuditEntry
from models.database import Database
from models.launches import Launch
from models.usage import UsageInterval, UsageState
from models.vms import Notice, Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, Place, ProviderName, Tag
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud, site
from tests.fakes.streaming import FakeStreaming
from tests.gateway import a_launch, a_vm
from tests.world import World

SPOT = replace(site("us-central1", Place("Council Bluffs", "Iowa", "United States")), provider=ProviderName.CLOUDYPAD)


async def machine_at_google(world: World) -> Vm:
    """A machine at Google that its player plays on, and whose notices are listened to."""
    world.google.stock, world.cloud.stock = [SPOT], []
    world.streaming.in_use = True
    vm = await world.machine()
    await world.streaming.reached("await_notice")
    return vm


async def replacements(world: World, vm: Vm) -> list[Launch]:
    return await world.db.find(Launch, {"replaces_vm_id": vm.id})


async def test_a_machine_that_is_taken_is_saved_replaced_and_off(world: World) -> None:
    vm = await machine_at_google(world)
    rented = await world.db.get(Launch, vm.launch_id)

    world.streaming.notices.put_nowait(Notice.PREEMPTED)
    stopped = await world.until(vm, VmStatus.STOPPED)
    (launch,) = await replacements(world, vm)
    ready = await world.until_over(launch)

    assert world.streaming.calls["save_in_time"] == 1
    assert stopped.saves_pending is False
    assert stopped.detail == "Google takes this machine back"
    assert stopped.warning is not None
    assert stopped.warning.endswith("another machine is being set up with the same game and saves")
    assert stopped.replacement_launch_id == launch.id
    assert rented is not None
    assert (launch.user_id, launch.console, launch.game_id) == (rented.user_id, rented.console, rented.game_id)
    assert (launch.max_session_hours, launch.idle_stop_minutes) == (rented.max_session_hours, rented.idle_stop_minutes)
    assert ready.vm_id != vm.id
    intervals = await world.db.find(UsageInterval, {"vm_id": vm.id}, sort=[("number", 1)])
    assert [each.state for each in intervals] == [UsageState.RUNNING, UsageState.STOPPED]
    assert intervals[0].end == intervals[1].start


async def test_the_player_is_warned_before_the_saves_are_uploaded(world: World) -> None:
    vm = await machine_at_google(world)
    saving = world.streaming.hold("save_in_time")

    world.streaming.notices.put_nowait(Notice.PREEMPTED)
    await asyncio.wait_for(saving.wait(), 20)
    told = await world.again(vm)
    world.streaming.let_go("save_in_time")
    await world.until(vm, VmStatus.STOPPED)

    assert told.status is VmStatus.STOPPING
    assert told.warnings == "Google takes this machine back. The saves are being uploaded"
    audit = await world.db.find(AuditEntry, {"subject_id": vm.id})
    assert "PREEMPTED:STOPPING" in {entry.action for entry in audit}


async def test_a_stop_that_is_announced_an_hour_before_is_told_and_then_made_with_the_saves(world: World) -> None:
    vm = await machine_at_google(world)

    world.streaming.notices.put_nowait(Notice.MAINTENANCE)
    warned = await world.until_changed(vm, lambda now: now.notice is Notice.MAINTENANCE)
    assert warned.status is VmStatus.RUNNING
    assert warned.warnings is not None
    assert warned.warnings.startswith("Google stops this machine for maintenance at about ")
    assert warned.announced_stop_at is not None
    assert timedelta(minutes=59) < warned.announced_stop_at - datetime.now(UTC) <= timedelta(minutes=60)

    soon = datetime.now(UTC) + timedelta(minutes=2)
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"announced_stop_at": soon}})
    stopped = await world.until(vm, VmStatus.STOPPED)
    assert stopped.detail == "Google stops the machine for maintenance"
    assert (stopped.notice, stopped.announced_stop_at) == (Notice.NONE, None)
    assert world.streaming.calls["save_in_time"] == 1
    assert len(await replacements(world, vm)) == 1


async def test_a_maintenance_that_is_called_off_takes_its_warning_back(world: World) -> None:
    vm = await machine_at_google(world)
    world.streaming.notices.put_nowait(Notice.MAINTENANCE)
    await world.until_changed(vm, lambda now: now.notice is Notice.MAINTENANCE)

    world.streaming.notices.put_nowait(Notice.NONE)
    calm = await world.until_changed(vm, lambda now: now.notice is Notice.NONE)

    assert (calm.status, calm.warnings, calm.announced_stop_at) == (VmStatus.RUNNING, None, None)


async def test_a_lost_connection_is_opened_again_and_the_regular_checks_go_on(world: World) -> None:
    world.streaming.failures["await_notice"] = [ProviderBusyError("SSH: the connection was lost")]
    vm = await machine_at_google(world)

    world.streaming.notices.put_nowait(Notice.PREEMPTED)
    await world.until(vm, VmStatus.STOPPED)

    assert len(await replacements(world, vm)) == 1


async def test_a_machine_without_notices_is_not_listened_to(world: World) -> None:
    vm = await world.machine()
    await world.streaming.reached("arm_shutdown_timer")
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)

    assert vm.provider is ProviderName.TENSORDOCK
    assert world.streaming.calls["await_notice"] == 0


class Taken:
    """A machine at Google, and the activities around its end."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.cloud = FakeCloud(ProviderName.CLOUDYPAD)
        self.streaming = FakeStreaming()
        self.asked: list[str] = []
        self.refusal: GatewayError | None = None
        self.activities = InterruptionActivities(db, Registry([self.cloud]), self.streaming, self, most_connections=1)

    async def replace(self, vm: Vm, key: str) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(key)
        return f"launch-of-{key}"

    async def begin(self, **fields: Any) -> Vm:
        now = datetime.now(UTC)
        vm = a_vm("200000000000000001", provider=ProviderName.CLOUDYPAD, created_at=now, **fields)
        await self.db.insert(vm)
        machine_id = MachineId(vm.provider_id or "")
        self.cloud.rented[machine_id] = Machine(machine_id, Tag(vm.tag), MachineState.RUNNING, "127.0.0.1")
        return vm

    async def again(self, vm: Vm) -> Vm:
        found = await self.db.get(Vm, vm.id)
        assert found is not None
        return found


@pytest.fixture
async def taken(db: Database) -> Taken:
    return Taken(db)


async def test_a_repeated_replacement_asks_for_the_same_launch(taken: Taken) -> None:
    now = datetime.now(UTC)
    vm = await taken.begin(last_activity_at=now - timedelta(seconds=30))

    for _ in range(2):
        await ActivityEnvironment().run(taken.activities.replace_taken, TakenMachine(vm.id, "key", now))

    assert taken.asked == ["key", "key"]
    assert (await taken.again(vm)).replacement_launch_id == "launch-of-key"


async def test_a_machine_that_is_kept_for_planned_play_is_replaced_before_its_time(taken: Taken) -> None:
    now = datetime.now(UTC)
    vm = await taken.begin(last_activity_at=now - timedelta(minutes=20), planned_for=now + timedelta(minutes=10))

    await ActivityEnvironment().run(taken.activities.replace_taken, TakenMachine(vm.id, "key", now))

    assert taken.asked == ["key"]


async def test_a_machine_whose_planned_time_has_passed_without_play_is_not_replaced(taken: Taken) -> None:
    now = datetime.now(UTC)
    vm = await taken.begin(last_activity_at=None, planned_for=now - timedelta(minutes=10))

    await ActivityEnvironment().run(taken.activities.replace_taken, TakenMachine(vm.id, "key", now))

    assert taken.asked == []


@pytest.mark.parametrize(("minutes", "is_kept"), [(10, True), (-10, False)])
async def test_a_replacement_is_kept_for_the_planned_time_while_that_lies_ahead(
    world: World, minutes: int, *, is_kept: bool
) -> None:
    vm = await world.machine()
    vm.planned_for = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)

    launch = await world.db.get(Launch, await world.launches.replace(vm, "key"))

    assert launch is not None
    assert (launch.replaces_vm_id, launch.play_at) == (vm.id, vm.planned_for if is_kept else None)


async def test_a_machine_that_was_not_played_on_is_not_replaced(taken: Taken) -> None:
    now = datetime.now(UTC)
    vm = await taken.begin(last_activity_at=now - timedelta(minutes=3))

    await ActivityEnvironment().run(taken.activities.replace_taken, TakenMachine(vm.id, "key", now))

    assert taken.asked == []
    told = await taken.again(vm)
    assert told.replacement_launch_id is None
    assert told.warning == f"Google took this machine at {now:%H:%M} UTC. Start it again when you want to play"


async def test_a_player_whose_limit_is_reached_is_told_why_no_other_machine_comes(taken: Taken) -> None:
    now = datetime.now(UTC)
    vm = await taken.begin(last_activity_at=now)
    taken.refusal = UnavailableError("the monthly limit of 5 USD is reached")

    await ActivityEnvironment().run(taken.activities.replace_taken, TakenMachine(vm.id, "key", now))

    told = await taken.again(vm)
    assert told.replacement_launch_id is None
    assert told.warning is not None
    assert told.warning.endswith("and no other machine can be set up: the monthly limit of 5 USD is reached")


async def test_saves_that_the_time_was_too_short_for_are_on_the_disk_and_the_player_is_told(taken: Taken) -> None:
    vm = await taken.begin(game_launch_id="100000000000000001", saves_pending=True)
    await taken.db.insert(a_launch("100000000000000001"))
    taken.streaming.cut = True

    until = datetime.now(UTC) + timedelta(seconds=25)
    safe = await ActivityEnvironment().run(taken.activities.save_in_time, TimedSave(vm.id, until))

    told = await taken.again(vm)
    assert (safe, told.saves_pending, told.saved_at) == (False, True, None)
    assert told.saves_warning == (
        "The time was too short to upload all saves. The latest ones are on the machine's disk: start it again"
    )
    assert taken.streaming.calls["release_shutdown"] == 1


async def test_a_process_listens_to_no_more_machines_than_it_may(taken: Taken) -> None:
    vm = await taken.begin()
    first = asyncio.create_task(ActivityEnvironment().run(taken.activities.await_notice, NoticeWait(vm.id)))
    await taken.streaming.reached("await_notice")

    second = await ActivityEnvironment().run(taken.activities.await_notice, NoticeWait(vm.id))
    taken.streaming.notices.put_nowait(Notice.PREEMPTED)

    assert second == NoticeSeen(None)
    assert (await first).notice is Notice.PREEMPTED


async def test_a_machine_whose_record_says_that_it_is_off_is_not_listened_to(taken: Taken) -> None:
    vm = await taken.begin(status=VmStatus.STOPPED)

    assert await ActivityEnvironment().run(taken.activities.await_notice, NoticeWait(vm.id)) == NoticeSeen(None)
    assert taken.streaming.calls["await_notice"] == 0
