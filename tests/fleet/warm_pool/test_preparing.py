"""A machine of the pool from its order until it is ready, and until it is gone, wherever a worker dies."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from errors import MachineLostError, NoCapacityError, ProviderBusyError
from models.usage import WARM_USER, UsageState
from models.warm_machines import WarmMachine, WarmStatus
from providers.base import MachineState, SiteId
from tests.fleet.warm_pool.pool import DiedError, MortalDatabase, Pool, a_machine


async def test_a_machine_is_set_up_and_then_kept_off(pool: Pool) -> None:
    machine = await pool.ready()

    assert machine.status is WarmStatus.READY
    assert pool.cloud.states() == [MachineState.STOPPED_RELEASED]
    assert (pool.streaming.calls["install"], pool.streaming.calls["pull_image"]) == (1, 1)
    assert pool.streaming.dead_man_s > 0


async def test_its_usage_in_the_pool_begins_with_the_order_and_has_no_gap(pool: Pool) -> None:
    machine = await pool.ready()

    on, off = await pool.intervals(machine)
    assert (on.state, off.state, off.end) == (UsageState.RUNNING, UsageState.STOPPED, None)
    assert (on.start, on.end) == (machine.ordered_at, off.start)
    assert {each.user_id for each in (on, off)} == {WARM_USER}
    assert (on.warm, on.usd_per_hour, off.usd_per_hour) == (True, machine.usd_per_hour, machine.usd_per_hour_stopped)


async def test_a_machine_is_rented_once_wherever_its_worker_dies(pool: Pool, mortal: MortalDatabase) -> None:
    deaths = 0
    for dies_at in range(1, 100):
        machine = a_machine()
        await pool.db.insert(machine)
        mortal.writes, mortal.dies_at = 0, dies_at
        rented_before = pool.cloud.ever_rented
        try:
            await pool.prepare(machine, mortal)
            break
        except DiedError:
            deaths += 1
        await pool.prepare(machine)

        assert pool.cloud.ever_rented == rented_before + 1
        assert (await pool.again(machine)).status is WarmStatus.READY
        found = await pool.intervals(machine)
        assert [each.end for each in found] == [*(each.start for each in found[1:]), None]
        assert found[-1].state is UsageState.STOPPED

    assert deaths >= 10


async def test_a_machine_is_gone_and_costs_nothing_wherever_the_worker_of_its_release_dies(
    pool: Pool, mortal: MortalDatabase
) -> None:
    deaths = 0
    for dies_at in range(1, 100):
        machine = await pool.ready()
        await pool.db.update(WarmMachine, {"_id": machine.id}, {"$set": {"status": WarmStatus.RELEASING}})
        mortal.writes, mortal.dies_at = 0, dies_at
        try:
            await pool.release(machine, mortal)
            break
        except DiedError:
            deaths += 1
        await pool.release(machine)

        released = await pool.again(machine)
        assert (released.status, pool.cloud.states()) == (WarmStatus.RELEASED, [])
        assert all(each.end is not None for each in await pool.intervals(machine))

    assert deaths >= 6


async def test_an_order_whose_answer_was_lost_is_deleted_and_metered_from_that_order(pool: Pool) -> None:
    machine = a_machine()
    await pool.db.insert(machine)
    pool.cloud.lost_answers["rent"] = 1
    with pytest.raises(ProviderBusyError):
        await pool.prepare(machine)

    await pool.release(machine)

    released = await pool.again(machine)
    (usage,) = await pool.intervals(machine)
    assert (released.status, pool.cloud.states()) == (WarmStatus.RELEASED, [])
    assert (usage.start, usage.end) == (released.ordered_at, released.going_since)


async def test_a_release_orders_nothing_and_lets_nothing_be_ordered_afterwards(pool: Pool) -> None:
    machine = a_machine()
    await pool.db.insert(machine)

    await pool.release(machine)
    await pool.prepare(machine)

    assert (await pool.again(machine)).status is WarmStatus.RELEASED
    assert pool.cloud.ever_rented == 0


async def test_a_machine_that_is_no_longer_wanted_is_not_set_up_to_the_end(pool: Pool) -> None:
    machine = a_machine()
    await pool.db.insert(machine)
    installing = pool.streaming.hold("install")
    preparing = asyncio.ensure_future(pool.prepare(machine))
    await installing.wait()

    await pool.db.update(WarmMachine, {"_id": machine.id}, {"$set": {"status": WarmStatus.RELEASING}})
    with pytest.raises(MachineLostError, match="no longer wanted"):
        await preparing
    await pool.release(machine)

    assert pool.cloud.states() == []


@pytest.mark.parametrize("changed", [{"order_turn": 2**62}, {"status": WarmStatus.TAKEN}])
async def test_an_attempt_that_was_overtaken_ends(pool: Pool, changed: dict[str, object]) -> None:
    machine = a_machine()
    await pool.db.insert(machine)
    installing = pool.streaming.hold("install")
    preparing = asyncio.ensure_future(pool.prepare(machine))
    await installing.wait()

    await pool.db.update(WarmMachine, {"_id": machine.id}, {"$set": changed})

    with pytest.raises(ProviderBusyError, match="superseded"):
        await asyncio.wait_for(preparing, 5)


@pytest.mark.parametrize("changed", [{"order_turn": 2**62}, {"status": WarmStatus.TAKEN}])
async def test_an_attempt_that_was_frozen_before_the_stop_stops_no_players_machine(
    pool: Pool, changed: dict[str, object]
) -> None:
    machine = a_machine()
    await pool.db.insert(machine)
    pulling = pool.streaming.hold("pull_image")
    preparing = asyncio.ensure_future(pool.prepare(machine, poll_s=60))  # it does not look by itself in this time
    await pulling.wait()
    await pool.db.update(WarmMachine, {"_id": machine.id}, {"$set": changed})

    pool.streaming.let_go("pull_image")

    with pytest.raises(ProviderBusyError, match="superseded"):
        await asyncio.wait_for(preparing, 5)
    assert (pool.cloud.states(), pool.cloud.calls["stop"]) == ([MachineState.RUNNING], 0)


async def test_a_full_site_costs_nothing_and_is_skipped_from_then_on(pool: Pool) -> None:
    pool.cloud.full = {SiteId("dallas")}
    machine = a_machine()
    await pool.db.insert(machine)

    with pytest.raises(NoCapacityError):
        await pool.prepare(machine)
    await pool.release(machine)

    assert await pool.intervals(machine) == []
    await pool.set_ceiling("1000")
    now = datetime.now(UTC)
    await pool.was_busy(now, a_day=2)
    assert (await pool.planning().plan_at(now + timedelta(seconds=1))).machine_ids == ()


async def test_a_machine_whose_cloud_bills_it_in_full_while_off_does_not_stay(pool: Pool) -> None:
    pool.cloud.keeps_hardware = True
    machine = a_machine()
    await pool.db.insert(machine)

    with pytest.raises(MachineLostError, match="billing it in full"):
        await pool.prepare(machine)
    await pool.release(machine)

    assert (await pool.again(machine)).status is WarmStatus.RELEASED
    assert pool.cloud.states() == []


async def test_a_machine_that_is_not_ready_in_time_is_given_up(pool: Pool) -> None:
    machine = a_machine(prepare_until=datetime.now(UTC) + timedelta(milliseconds=200))
    await pool.db.insert(machine)
    pool.streaming.hold("install")

    with pytest.raises(MachineLostError, match="not ready in time"):
        await pool.prepare(machine)
