"""A launch takes a machine of the pool: one machine, one launch, with books that close on one side as they open."""

from __future__ import annotations

import asyncio

import pytest

from fleet.warm_pool.messages import TakeWarm
from fleet.warm_pool.taking import WarmTaking
from models.launches import Launch, LaunchStatus
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from models.warm_machines import WarmMachine, WarmStatus
from tests.fleet.warm_pool.pool import DiedError, MortalDatabase, Pool, run


async def vm_usage(pool: Pool, machine: WarmMachine) -> list[UsageInterval]:
    return await pool.db.find(UsageInterval, {"vm_id": machine.id}, sort=[("number", 1)])


async def test_a_taken_machine_is_the_players_vm_with_usage_from_that_moment_on(pool: Pool) -> None:
    machine, launch = await pool.ready(), await pool.launch()

    taken = await pool.take(launch, machine)

    vm = await pool.db.get(Vm, taken.vm_id)
    assert vm is not None
    assert (vm.tag, vm.provider_id, vm.status) == (machine.tag, machine.provider_id, VmStatus.PROVISIONING)
    assert (vm.user_id, vm.launch_id, vm.ssh_host_key) == ("player-1", launch.id, machine.ssh_host_key)
    (players,) = await vm_usage(pool, machine)
    last = (await pool.intervals(machine))[-1]
    assert (players.start, players.state, players.warm) == (last.end, UsageState.STOPPED, False)


async def test_two_launches_never_get_the_same_machine(pool: Pool) -> None:
    machine = await pool.ready()
    launches = [await pool.launch() for _ in range(4)]

    taken = await asyncio.gather(*(pool.take(launch, machine) for launch in launches))

    assert [each.vm_id for each in taken].count(machine.id) == 1
    assert await pool.db.count(Vm, {}) == 1


async def test_a_launch_takes_one_machine_however_often_it_asks(pool: Pool) -> None:
    machines, launch = [await pool.ready(), await pool.ready()], await pool.launch()

    taken = await asyncio.gather(*(pool.take(launch, *order) for order in (machines, machines[::-1])))

    assert taken[0] == taken[1] == await pool.take(launch, *machines)
    assert await pool.db.count(WarmMachine, {"status": WarmStatus.READY}) == 1


async def test_a_machine_is_in_the_pool_or_a_vm_wherever_the_worker_dies(pool: Pool, mortal: MortalDatabase) -> None:
    deaths = 0
    for dies_at in range(1, 100):
        machine, launch = await pool.ready(), await pool.launch()
        mortal.writes, mortal.dies_at = 0, dies_at
        try:
            await pool.take(launch, machine, db=mortal)
            break
        except DiedError:
            deaths += 1

        is_vm = await pool.db.get(Vm, machine.id) is not None
        status = (await pool.again(machine)).status
        assert status is (WarmStatus.TAKEN if is_vm else WarmStatus.READY)
        assert bool(await vm_usage(pool, machine)) is is_vm

        taken = await pool.take(launch, machine)
        (players,) = await vm_usage(pool, machine)
        assert (taken.vm_id, players.start) == (machine.id, (await pool.intervals(machine))[-1].end)

    assert deaths >= 10


@pytest.mark.parametrize("status", [LaunchStatus.CANCELLING, LaunchStatus.FAILED])
async def test_a_launch_that_ends_takes_nothing(pool: Pool, status: LaunchStatus) -> None:
    machine, launch = await pool.ready(), await pool.launch(status=status)

    assert (await pool.take(launch, machine)).vm_id is None
    assert (await pool.again(machine)).status is WarmStatus.READY
    assert await pool.db.count(Vm, {}) == 0


async def test_a_take_that_was_settled_takes_nothing_afterwards(pool: Pool) -> None:
    machine, launch = await pool.ready(), await pool.launch()

    settled = await run(WarmTaking(pool.db, pool.workflows).settle, TakeWarm(launch.id))

    assert settled.vm_id is None
    assert (await pool.take(launch, machine)).vm_id is None
    assert (await pool.again(machine)).status is WarmStatus.READY


async def test_settling_finds_what_an_interrupted_take_took(pool: Pool) -> None:
    machine, launch = await pool.ready(), await pool.launch()
    await pool.take(launch, machine)

    assert (await run(WarmTaking(pool.db, pool.workflows).settle, TakeWarm(launch.id))).vm_id == machine.id


async def test_a_machine_that_a_player_had_never_returns_to_the_pool(pool: Pool) -> None:
    machine, launch = await pool.ready(), await pool.launch()
    await pool.take(launch, machine)
    other = await pool.launch(user_id="player-2")

    await pool.prepare(machine)
    await pool.release(machine)

    assert (await pool.again(machine)).status is WarmStatus.TAKEN
    assert (await pool.take(other, machine)).vm_id is None
    assert (await pool.db.get(Launch, other.id) or other).warm_vm_id is None
