"""Two environments and one database: whose it is decides."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.service import Deployment, Process


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
        "is staging. Use another database, or take this one over for good with --adopt-database. "
        "Example: DEPLOYMENT=main"
    ]
