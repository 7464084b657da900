"""What happens to machines without being asked for is seen within a minute, also when the watching worker dies."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from models.database import Database
from models.usage import UsageInterval, UsageState
from schema.ids import key_of
from tests.e2e.service import Deployment, Gateway, deployment

pytestmark = pytest.mark.timeout(300)


async def seen_within_a_minute(gateway: Gateway, vm_id: str, *statuses: str) -> dict[str, Any]:
    return await gateway.until(vm_id, *statuses, within_s=60)


async def metered(deployed: Deployment, vm_id: str) -> list[tuple[UsageState, bool]]:
    """The states of a VM on our meter, and whether each has ended."""
    db = Database(deployed.environment["MONGODB_ATLAS_URI"], deployed.environment["MONGODB_DATABASE"])
    try:
        own = {"vm_id": key_of("VM", vm_id)}
        found = await db.find(UsageInterval, own, sort=[("number", 1)])
    finally:
        await db.close()
    return [(each.state, each.end is not None) for each in found]


@pytest.mark.parametrize("killed", [False, True])
async def test_a_machine_that_vanishes_and_one_that_its_host_stops_are_seen(deployed: Deployment, killed: bool) -> None:
    gateway = await deployed.gateway()
    worker = deployed.worker()
    gone, stopped = await asyncio.gather(gateway.machine(userId="one"), gateway.machine(userId="two"))
    at_cloud = {vm_id: (await gateway.vm(vm_id))["providerId"] for vm_id in (gone, stopped)}

    await deployed.fault(kind="vanish", machine=at_cloud[gone])
    await deployed.fault(kind="host-stop", machine=at_cloud[stopped])
    if killed:
        worker.kill()
        deployed.worker()
    lost, off = await asyncio.gather(
        seen_within_a_minute(gateway, gone, "DELETED"), seen_within_a_minute(gateway, stopped, "STOPPED")
    )

    assert "is lost" in lost["warning"]
    assert "but not by this service" in off["warning"]
    assert await metered(deployed, gone) == [(UsageState.RUNNING, True)]
    assert await metered(deployed, stopped) == [(UsageState.RUNNING, True), (UsageState.STOPPED, False)]


async def test_machines_stopped_for_an_empty_balance_are_seen(deployed: Deployment) -> None:
    gateway = await deployed.gateway()
    deployed.worker()
    vm_id = await gateway.machine()

    async with deployed.http.put(f"{deployed.control_url}/balance", json={"usd": "-0.01"}) as reply:
        assert reply.ok
    await seen_within_a_minute(gateway, vm_id, "STOPPED")

    assert await metered(deployed, vm_id) == [(UsageState.RUNNING, True), (UsageState.STOPPED, False)]


async def test_a_machine_that_switched_itself_off_is_woken_to_save_and_given_back(
    tmp_path: Path, mongodb_uri: str, temporal_address: str
) -> None:
    """Its dead man is put back every five minutes of ours, and strikes after ten seconds on its own, fast clock."""
    async with deployment(tmp_path, mongodb_uri, temporal_address, clock_factor=200) as deployed:
        gateway = await deployed.gateway()
        deployed.worker()
        vm_id = await gateway.machine(maxSessionHours=0.05)
        before = time.monotonic()

        await seen_within_a_minute(gateway, vm_id, "STOPPED")
        took_s = time.monotonic() - before
        await gateway.until(vm_id, "STOPPING")
        await gateway.until(vm_id, "STOPPED")

        assert took_s < 10 + 60
        [machine] = await deployed.machines()
        assert machine["state"] == "stoppeddisassociated"
        assert (await metered(deployed, vm_id))[-1] == (UsageState.STOPPED, False)
