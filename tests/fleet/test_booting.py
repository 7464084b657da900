"""Waiting until a machine runs: its cloud may not know at once what it has just taken an order for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from billing.meter import Meter
from errors import MachineLostError
from fleet.inputs import VmRef
from fleet.messages import Done
from fleet.provisioning import ProvisioningActivities
from models.catalog import ConsoleType, PresetName
from models.vms import Vm, VmPlace
from providers.base import Machine, MachineId, MachineState, ProviderName, Tag
from tests.world import World

pytestmark = pytest.mark.test_server

MACHINE = Machine(MachineId("m1"), Tag("gamer-123456789012345678"), MachineState.CREATING)


async def just_rented(world: World) -> Vm:
    """On record as rented a moment ago, and nowhere to be seen at the cloud."""
    now = datetime.now(UTC)
    vm = Vm(
        id="123456789012345678",
        tag=MACHINE.tag,
        user_id="player-1",
        launch_id="987654321098765432",
        console=ConsoleType.SWITCH,
        preset=PresetName.PREMIUM,
        provider=ProviderName.TENSORDOCK,
        provider_id=MACHINE.id,
        vcpus=8,
        ram_gb=16,
        storage_gb=200,
        usd_per_hour=Decimal("0.5"),
        usd_per_hour_stopped=Decimal("0.01"),
        place=VmPlace(site_id="dallas", city="Dallas", region="Texas", country="United States"),
        idle_stop_minutes=15,
        max_session_hours=4,
        created_at=now,
        ordered_at=now,
    )
    await world.db.insert(vm)
    return vm


def boot(world: World, vm: Vm, settle_s: float) -> asyncio.Task[Done]:
    machines = ProvisioningActivities(world.db, world.registry, Meter(world.db), settle_s=settle_s, poll_s=0.01)
    return asyncio.ensure_future(ActivityEnvironment(world.client).run(machines.await_boot, VmRef(vm.id)))


async def test_a_machine_that_its_cloud_does_not_know_yet_is_waited_for(world: World) -> None:
    vm = await just_rented(world)
    looked_again = world.cloud.after_calls("machine", 3)

    booting = boot(world, vm, settle_s=60)
    await looked_again.wait()
    world.cloud.rented[MACHINE.id] = Machine(MACHINE.id, MACHINE.tag, MachineState.RUNNING, ip_address="127.0.0.1")

    assert (await booting).message == "The machine runs at 127.0.0.1"


async def test_a_machine_that_was_there_and_is_not_any_more_has_vanished_at_once(world: World) -> None:
    vm = await just_rented(world)
    world.cloud.rented[MACHINE.id] = MACHINE
    looked_again = world.cloud.after_calls("machine", 2)

    booting = boot(world, vm, settle_s=60)
    await looked_again.wait()
    world.cloud.vanish_all()

    with pytest.raises(MachineLostError, match="vanished"):
        await booting


async def test_a_machine_that_its_cloud_does_not_know_after_its_time_has_vanished(world: World) -> None:
    vm = await just_rented(world)

    with pytest.raises(MachineLostError, match="vanished"):
        await boot(world, vm, settle_s=0)
