"""Two environments and one database: whose it is decides."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Final

import pytest

from fleet.schedules import claim_queue, ensure_schedules
from launch.temporal_client import connect
from launch.workflow_client import EngineAddress
from models.database import Database
from tests.e2e.service import ROOT, Deployment, Gateway, Process, surroundings

USER: Final = "developer"  # who asks without credentials on a developer's own machine


async def ended(process: Process) -> tuple[int, str]:
    code = await asyncio.to_thread(process.popen.wait, 60)
    return code, process.log.read_text()


@pytest.mark.parametrize("role", ["gateway", "worker"])
async def test_another_deployment_does_not_start_on_a_database(deployed: Deployment, role: str) -> None:
    await (await deployed.gateway()).data("Consoles")

    code, said = await ended(deployed.run("--role", role, DEPLOYMENT="staging", PORT="0"))

    assert code == 2
    assert [line for line in said.splitlines() if not line.startswith("{")] == [
        f"DEPLOYMENT: the database {deployed.environment['MONGODB_DATABASE']} belongs to the deployment main, and this "
        "is staging. Use another database, or take this one over permanently with --adopt-database. "
        "Example: DEPLOYMENT=main"
    ]


async def test_a_worker_does_not_take_the_work_of_another_deployment(deployed: Deployment) -> None:
    queue = deployed.environment["TEMPORAL_TASK_QUEUE"]
    client = await connect(EngineAddress(deployed.environment["TEMPORAL_ADDRESS"], "default", queue))
    await ensure_schedules(client, queue, timedelta(hours=1))
    await claim_queue(client, queue, "main")

    code, said = await ended(deployed.run("--role", "worker", DEPLOYMENT="staging"))

    assert code == 2
    assert said.splitlines()[-1] == (
        f"TEMPORAL_TASK_QUEUE: {queue} is served by the workers of the deployment main, and this is staging. Use "
        "another queue, or take this one over permanently with --adopt-database. "
        "Example: TEMPORAL_TASK_QUEUE=gamer-staging"
    )


@pytest.mark.timeout(300)
async def test_after_a_database_was_lost_its_machines_are_adopted_and_their_saves_come_to_safety(
    deployed: Deployment,
) -> None:
    before, worker = await deployed.gateway(), deployed.worker()
    vm_id = await before.machine()
    (machine,) = await deployed.machines()
    for process in (before.process, worker):
        process.kill()
    await lost(deployed)

    adopted = await asyncio.to_thread(by_hand, deployed, "--adopt")
    gateway, _ = await deployed.gateway(), deployed.worker()

    assert machine["name"].startswith("gamer-main-")
    assert f"adopted for {USER}" in adopted, adopted
    found = await gateway.vm(vm_id)
    assert (found["status"], found["userId"]) == ("RUNNING", USER)
    await deleted(gateway, vm_id)
    assert await deployed.machines() == []


async def deleted(gateway: Gateway, vm_id: str) -> None:
    """Ask until the worker that has just started answers, and wait for the end."""
    for _ in range(60):
        if "errors" not in await gateway.ask("DeleteVm", {"vmId": vm_id}):
            break
        await asyncio.sleep(1)
    await gateway.until(vm_id, "DELETED", within_s=120)


async def lost(deployed: Deployment) -> None:
    db = Database(deployed.environment["MONGODB_ATLAS_URI"], deployed.environment["MONGODB_DATABASE"])
    await db.drop()
    await db.close()


def by_hand(deployed: Deployment, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fleet.sweep", *arguments],
        cwd=ROOT,
        env={**surroundings(), **deployed.environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
