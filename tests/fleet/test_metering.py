"""From when a machine is metered: from the order that brought it, whose answer may have been lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing.meter import Meter, Metered
from errors import ConflictError, ProviderBusyError
from fleet.inputs import StatusChange
from fleet.messages import Command
from fleet.power import PowerActivities
from fleet.release import mark_lost
from models.database import Database
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus, move_vm
from providers.base import Machine, MachineId, MachineState, Tag
from tests.world import World


async def intervals(world: World, vm: Vm) -> list[UsageInterval]:
    return await world.db.find(UsageInterval, {"vm_id": vm.id}, sort=[("number", 1)])


async def test_a_machine_whose_orders_answer_was_lost_is_metered_from_that_order(world: World) -> None:
    world.cloud.lost_answers["rent"] = 1

    vm = await world.machine()

    (interval,) = await world.db.find(UsageInterval, {"vm_id": vm.id})
    # It was asked for again, and found, half a second later at the earliest: by then it had cost for as long.
    assert (world.cloud.calls["rent"], world.cloud.ever_rented) == (2, 1)
    assert interval.start == vm.started_at == vm.ordered_at
    assert interval.start >= vm.created_at


async def test_a_start_that_finds_no_hardware_costs_nothing(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    world.cloud.given_away = True

    await world.fleet.command(vm, Command.START, "asked")
    await world.until_changed(vm, lambda now: now.detail is not None and "given away" in now.detail)

    found = await intervals(world, vm)
    assert [each.state for each in found] == [UsageState.RUNNING, UsageState.STOPPED]
    assert found[-1].end is None


async def test_a_start_costs_from_when_its_cloud_took_it(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    stopped = await world.until(vm, VmStatus.STOPPED)
    # The cloud fails twice: half a second and three quarters pass before it is asked again.
    world.cloud.failures["start"] = [ProviderBusyError("500"), ProviderBusyError("500")]

    await world.fleet.command(vm, Command.START, "asked")
    await world.until(vm, VmStatus.RUNNING)

    _, off, on = await intervals(world, vm)
    assert stopped.stopped_at is not None
    assert on.state is UsageState.RUNNING
    assert on.start - off.start >= timedelta(seconds=1.25)


async def test_a_start_whose_answer_was_lost_costs_from_when_it_was_asked_for(world: World) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.STOP, "asked")
    await world.until(vm, VmStatus.STOPPED)
    # Asked for in vain twice, before half a second and three quarters have passed.
    world.cloud.failures["start"] = [ProviderBusyError("500"), ProviderBusyError("500")]
    world.cloud.lost_answers["start"] = 1

    await world.fleet.command(vm, Command.START, "asked")
    running = await world.until(vm, VmStatus.RUNNING)

    _, off, on = await intervals(world, vm)
    assert on.start == running.start_asked_at
    assert on.start - off.start >= timedelta(seconds=1.25)


async def test_a_deletion_whose_answer_was_lost_costs_until_it_was_asked_for(world: World) -> None:
    vm = await world.machine()
    world.cloud.lost_answers["release"] = 1
    asked = world.cloud.after_calls("release", 1)

    await world.fleet.command(vm, Command.DELETE, "asked")
    await asked.wait()
    asked_by = datetime.now(UTC)
    await world.until(vm, VmStatus.DELETED)

    (interval,) = await intervals(world, vm)
    assert interval.end is not None
    assert interval.end <= asked_by


async def test_a_machine_costs_until_its_cloud_took_the_deletion_not_until_it_is_gone(world: World) -> None:
    vm = await world.machine()
    world.cloud.lingers = True
    asked_again = world.cloud.after_calls("release", 3)

    await world.fleet.command(vm, Command.DELETE, "asked")
    await asked_again.wait()
    going = await world.again(vm)
    world.cloud.vanish_all()
    gone = await world.until(vm, VmStatus.DELETED)

    (interval,) = await intervals(world, vm)
    assert going.going_since is not None
    assert (interval.end, gone.going_since) == (going.going_since, going.going_since)


async def test_a_machine_found_only_when_it_is_given_back_is_metered_whoever_ends_its_deletion(world: World) -> None:
    order_lost = world.cloud.hold("rent")
    launch = await world.launch()
    await order_lost.wait()
    (vm,) = await world.db.find(Vm, {})
    ordered_at = datetime.now(UTC)
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"ordered_at": ordered_at}})
    world.cloud.rented[MachineId("m9")] = Machine(MachineId("m9"), Tag(vm.tag), MachineState.RUNNING)
    world.cloud.lingers = True
    deleting = world.cloud.after_calls("release", 1)

    await world.launches.cancel(launch)
    await deleting.wait()
    found = await world.again(vm)
    (interval,) = await intervals(world, vm)
    world.cloud.vanish_all()
    await world.until(vm, VmStatus.DELETED)

    assert found.provider_id == "m9"
    assert abs(interval.start - ordered_at) < timedelta(milliseconds=1)
    assert [each.end is None for each in await intervals(world, vm)] == [False]


async def test_a_machine_off_that_is_charged_in_full_costs_its_disk_alone_once_its_hardware_is_given_away(
    world: World,
) -> None:
    vm = await world.machine()
    world.cloud.keeps_hardware = True
    await world.fleet.command(vm, Command.STOP, "asked")
    full = await world.until(vm, VmStatus.STOPPED)

    world.cloud.become_all(MachineState.STOPPED_RELEASED)
    cheap = await world.until_changed(vm, lambda now: not now.billed_in_full)

    assert full.billed_in_full
    assert (cheap.status, cheap.detail) == (VmStatus.STOPPED, "its cloud has given its hardware to others")
    assert [each.state for each in await intervals(world, vm)] == [UsageState.RUNNING, UsageState.STOPPED]


async def test_a_deletion_that_the_cloud_forgot_is_asked_for_again_and_goes_on_costing(world: World) -> None:
    vm = await world.machine()
    world.cloud.lingers = True
    asked_again = world.cloud.after_calls("release", 2)
    await world.fleet.command(vm, Command.DELETE, "asked")
    await asked_again.wait()
    first = (await world.again(vm)).going_since

    world.cloud.lingers = False
    world.cloud.become_all(MachineState.RUNNING)
    gone = await world.until(vm, VmStatus.DELETED)

    (interval,) = await intervals(world, vm)
    assert first is not None
    assert gone.going_since is not None
    assert gone.going_since > first
    assert interval.end == gone.going_since


async def test_a_record_that_was_closed_meanwhile_is_not_metered_again(world: World) -> None:
    vm = await world.machine()
    world.cloud.vanish_all()
    await world.until(vm, VmStatus.DELETED)

    with pytest.raises(ConflictError):
        await power(world, Meter(world.db)).write_status(StatusChange(vm.id, VmStatus.STOPPED, "asked"))

    assert [each.end is None for each in await intervals(world, vm)] == [False]


async def test_a_record_that_is_closed_just_then_costs_no_longer(world: World) -> None:
    vm = await world.machine()

    with pytest.raises(ConflictError):
        await power(world, OvertakenMeter(world.db)).write_status(StatusChange(vm.id, VmStatus.STOPPED, "asked"))

    assert [each.end is None for each in await intervals(world, vm)] == [False, False]


def power(world: World, meter: Meter) -> PowerActivities:
    return PowerActivities(world.db, world.registry, world.streaming, meter)


class OvertakenMeter(Meter):
    """The sweeper closes the record between a look at it and the meter's note."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._database = db

    async def record_state(self, vm: Metered, state: UsageState | None, at: datetime) -> None:
        if state is not None and isinstance(vm, Vm):
            await mark_lost(self._database, Meter(self._database), vm, "the cloud no longer knows it", at)
            await move_vm(self._database, vm.id, VmStatus.DELETED)
        await super().record_state(vm, state, at)
