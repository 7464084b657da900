from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client

from billing.workflows import schedule_name
from fleet.schedules import SWEEP, claim_queue, ensure_schedules
from launch.temporal_client import connect
from launch.workflow_client import EngineAddress


@pytest.fixture
def queue() -> str:
    return f"claimed-{secrets.token_hex(4)}"


@pytest.fixture
async def client(temporal_address: str, queue: str) -> AsyncIterator[Client]:
    """The sweeper's schedule is there, and not due for an hour."""
    client = await connect(EngineAddress(temporal_address, "default", queue))
    await ensure_schedules(client, queue, timedelta(hours=1))
    yield client
    await client.get_schedule_handle(schedule_name(SWEEP, queue)).delete()


async def test_a_queue_is_the_first_deployments_that_claims_it(client: Client, queue: str) -> None:
    claims = [await claim_queue(client, queue, name) for name in ("main", "main", "staging", "main")]

    assert claims == [None, None, "main", None]


async def test_a_queue_that_is_adopted_is_its_new_deployments(client: Client, queue: str) -> None:
    await claim_queue(client, queue, "main")

    assert await claim_queue(client, queue, "staging", adopt=True) is None
    assert await claim_queue(client, queue, "main") == "staging"


async def test_the_schedule_keeps_its_interval_and_goes_on(client: Client, queue: str) -> None:
    await claim_queue(client, queue, "main")
    await ensure_schedules(client, queue, timedelta(hours=2))

    schedule = (await client.get_schedule_handle(schedule_name(SWEEP, queue)).describe()).schedule
    assert [each.every for each in schedule.spec.intervals] == [timedelta(hours=2)]
    assert (schedule.state.note, schedule.state.paused) == ("of the deployment main", False)
