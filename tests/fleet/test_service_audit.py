"""What the service does by itself is in the audit log: who, what, to what, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from billing.meter import Meter
from fleet.messages import Command
from fleet.sweeper import Sweeper
from models.audit import AuditEntry, Outcome
from models.roles import Role
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, Tag
from tests.world import World

STRAY = "gamer-main-200000000000000001"


async def trail(world: World) -> list[tuple[str, str, str | None, str, str | None]]:
    entries = await world.db.find(AuditEntry, {"actor_role": Role.SERVICE}, sort=[("_id", 1)])
    return [(each.actor_id, each.action, each.subject_id, each.outcome.value, each.detail) for each in entries]


async def test_an_automatic_stop_is_in_the_audit_log_with_its_reason_and_an_ordered_one_is_its_callers(
    world: World,
) -> None:
    idle, ordered = (
        await world.machine(),
        await world.vm(await world.until_over(await world.launch(user_id="player-2"))),
    )

    await world.fleet.command(ordered, Command.STOP, "asked for by player-2")
    await world.until(ordered, VmStatus.STOPPED)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    await world.db.update(Vm, {"_id": idle.id}, {"$set": {"last_activity_at": long_ago}})
    await world.until(idle, VmStatus.STOPPED)

    why = "no client was connected for 30 minutes"
    assert await trail(world) == [
        ("gamer:watch", "IDLE:STOPPING", idle.id, "DONE", why),
        ("gamer:watch", "IDLE:STOPPED", idle.id, "DONE", why),
    ]


async def test_what_the_sweeper_deletes_is_in_the_audit_log_and_a_dry_run_is_not(world: World) -> None:
    stray = Machine(MachineId("m1"), Tag(STRAY), MachineState.RUNNING, ip_address="127.0.0.1")
    sweeper = Sweeper(world.db, world.registry, Meter(world.db), spare_s=0)
    await sweeper.sweep()
    world.cloud.rented[stray.id] = stray

    await sweeper.sweep(dry_run=True)
    before = await trail(world)
    await sweeper.sweep()

    assert before == []
    assert await trail(world) == [
        ("gamer:sweeper", "deleteStray", STRAY, Outcome.DONE.value, "TENSORDOCK m1: no record of it")
    ]


async def test_the_end_of_a_machine_that_vanished_is_in_the_audit_log_once(world: World) -> None:
    vm = await world.machine()

    world.cloud.vanish_all()
    await world.until(vm, VmStatus.DELETED)

    assert await trail(world) == [
        ("gamer:watch", "GONE:DELETED", vm.id, "DONE", "the cloud no longer knows this machine")
    ]
