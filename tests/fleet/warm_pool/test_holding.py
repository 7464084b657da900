"""After a restore from a backup in which a player's machine is still in the pool, it is neither taken nor deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from errors import UnavailableError
from fleet.messages import machine_workflow_id
from fleet.sweep_plan import TAKEN, Verdict
from fleet.sweeper import Sweeper
from models.operator_alerts import OperatorAlertCode
from models.warm_machines import WarmMachine, WarmStatus
from providers.base import MachineId, MachineState, Tag
from tests.fleet.warm_pool.pool import Pool, a_machine


async def players_machine(pool: Pool, state: MachineState) -> WarmMachine:
    """A machine that is READY on record, although a player had it: Temporal knows its workflow."""
    ready = await pool.ready()
    pool.workflows.ended.add(machine_workflow_id(ready.id))
    pool.cloud.become(MachineId(ready.provider_id or ""), state)
    return ready


async def test_no_launch_takes_a_players_machine(pool: Pool) -> None:
    players, unused, launch = await players_machine(pool, MachineState.STOPPED), await pool.ready(), await pool.launch()

    taken = await pool.take(launch, players, unused)

    assert taken.vm_id == unused.id
    assert (await pool.again(players)).status is WarmStatus.TAKEN


@pytest.mark.parametrize("state", [MachineState.RUNNING, MachineState.STOPPED_RELEASED])
@pytest.mark.parametrize("ceiling", ["0", "100"])
async def test_no_plan_deletes_a_players_machine(pool: Pool, state: MachineState, ceiling: str) -> None:
    players = await players_machine(pool, state)
    await pool.set_ceiling(ceiling)

    work = await pool.planning().plan_at(datetime.now(UTC) + timedelta(hours=2))
    await pool.release(players)

    assert (work.machine_ids, pool.cloud.states()) == ((), [state])
    assert (await pool.again(players)).status is WarmStatus.TAKEN
    assert all(each.end is not None for each in await pool.intervals(players))


async def test_a_players_machine_is_not_set_up_again(pool: Pool) -> None:
    machine = a_machine()
    await pool.db.insert(machine)
    await pool.cloud.rent(pool.offer(), Tag(machine.tag))
    pool.workflows.running.add(machine_workflow_id(machine.id))

    await pool.prepare(machine)
    await pool.release(machine)

    assert (pool.cloud.states(), pool.streaming.calls["install"]) == ([MachineState.RUNNING], 0)
    assert (await pool.again(machine)).status is WarmStatus.TAKEN


async def test_a_machine_that_may_be_a_players_waits_while_temporal_does_not_respond(pool: Pool) -> None:
    machine, launch = await pool.ready(), await pool.launch()
    await pool.set_ceiling("0")
    pool.workflows.away = True

    assert (await pool.planning().plan_at(datetime.now(UTC))).machine_ids == ()
    with pytest.raises(UnavailableError):
        await pool.take(launch, machine)

    assert (await pool.again(machine)).status is WarmStatus.READY


async def test_the_sweeper_holds_a_players_machine_and_alerts_operators(pool: Pool) -> None:
    players, launch = await players_machine(pool, MachineState.RUNNING), await pool.launch()
    await pool.take(launch, players)
    sweeper = Sweeper(pool.db, pool.registry, Meter(pool.db), spare_s=0)

    await sweeper.sweep()
    (held,) = await sweeper.sweep()

    assert (held.verdict, held.reason, held.done) == (Verdict.HOLD, TAKEN, False)
    assert pool.cloud.states() == [MachineState.RUNNING]
    (alert,) = await OperatorAlerts(pool.db).find_newest(with_cleared=False, limit=10)
    assert alert.code is OperatorAlertCode.SWEEP_PAUSED
