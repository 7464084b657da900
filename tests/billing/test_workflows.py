"""The books are kept by the engine's clock."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from temporalio.client import ScheduleOverlapPolicy

from billing.rollups import Rollups
from billing.tensordock_billing import BalanceSampler
from billing.workflows import (
    CHECK,
    FETCH_EXPORT,
    INTERVALS,
    LOOK_AT_BALANCE,
    ROLL_UP,
    BillingActivities,
    ensure_cost_schedules,
    ensure_schedule,
    schedule_name,
)
from launch.temporal_client import connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.billed import BalanceSample
from models.database import Database
from models.rollups import RolledSpan, Rollup, Span
from tests.billing.exact import an_interval


async def test_every_schedule_does_its_work_and_is_kept_once_by_many_workers(
    db: Database, temporal_address: str
) -> None:
    queue = f"books-{secrets.token_hex(4)}"
    client = await connect(EngineAddress(temporal_address, "default", queue))
    start = (datetime.now(UTC) - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    await db.insert(an_interval("1", 1, start, start + timedelta(hours=1)))
    books = BillingActivities(Rollups(db), BalanceSampler(db, Account()))

    async with build_worker(client, queue, books):
        done = [
            await client.execute_workflow(name, id=f"{name}-{queue}", task_queue=queue)
            for name in (ROLL_UP, CHECK, LOOK_AT_BALANCE, FETCH_EXPORT)
        ]
        await db.update_many(Rollup, {"span": Span.DAY, "kind": "USER"}, {"$set": {"running_ms": [7]}})
        differing = await client.execute_workflow(CHECK, id=f"again-{queue}", task_queue=queue)

    assert done[0] in {1, 2}  # the day before yesterday, and yesterday unless it has only just ended
    assert done[1:] == [0, "12.5", 0]
    assert differing >= 1
    assert any(not span.valid for span in await db.find(RolledSpan, {}))
    assert [sample.usd for sample in await db.find(BalanceSample, {})] == [Decimal("12.5")]
    await asyncio.gather(*(ensure_cost_schedules(client, queue, INTERVALS) for _ in range(3)))
    for name in INTERVALS:
        await client.get_schedule_handle(schedule_name(name, queue)).delete()


async def test_what_another_deployment_left_behind_holds_nothing_up(db: Database, temporal_address: str) -> None:
    left, queue = (f"books-{secrets.token_hex(4)}" for _ in range(2))
    client = await connect(EngineAddress(temporal_address, "default", queue))
    await ensure_schedule(client, left, LOOK_AT_BALANCE, timedelta(hours=1))

    account = Account()
    async with build_worker(client, queue, BillingActivities(Rollups(db), BalanceSampler(db, account))):
        await ensure_schedule(client, queue, LOOK_AT_BALANCE, timedelta(hours=1))
        await asyncio.wait_for(account.looked_at.wait(), 30)

    for each in (left, queue):
        await client.get_schedule_handle(schedule_name(LOOK_AT_BALANCE, each)).delete()


async def test_a_new_version_brings_the_interval_up_to_date_and_leaves_a_pause_alone(temporal_address: str) -> None:
    client = await connect(EngineAddress(temporal_address, "default", "nobody"))
    queue = f"books-{secrets.token_hex(4)}"
    schedule = client.get_schedule_handle(schedule_name(ROLL_UP, queue))

    await ensure_schedule(client, queue, ROLL_UP, timedelta(hours=2), at_once=False)
    await schedule.pause(note="an operator looks into it")
    await ensure_schedule(client, queue, ROLL_UP, timedelta(hours=1), at_once=False)

    now = (await schedule.describe()).schedule
    await schedule.delete()
    assert [each.every for each in now.spec.intervals] == [timedelta(hours=1)]
    assert (now.state.paused, now.state.note) == (True, "an operator looks into it")
    assert now.policy.overlap is ScheduleOverlapPolicy.SKIP


class Account:
    """Keeps billing.balance.Balance."""

    def __init__(self) -> None:
        self.looked_at = asyncio.Event()

    async def balance(self) -> Decimal:
        self.looked_at.set()
        return Decimal("12.5")
