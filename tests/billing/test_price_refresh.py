"""The engine keeps the clock of Google's prices."""

from __future__ import annotations

import asyncio
import secrets
from decimal import Decimal

from temporalio.client import Client

from billing.price_refresh import REFRESH_PRICES, PriceRefreshing
from billing.workflows import schedule_name
from launch.temporal_client import connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.database import Database
from models.google_prices import GoogleRegionPrices
from tests.billing.test_google_prices import G2_IN_IOWA, FakeCatalog


async def test_prices_are_refreshed_at_the_first_start_and_then_daily(db: Database, temporal_address: str) -> None:
    address = EngineAddress(temporal_address, "default", f"test-{secrets.token_hex(4)}")
    client = await connect(address)
    refreshing = PriceRefreshing(db, FakeCatalog(*G2_IN_IOWA))

    async with build_worker(client, address.task_queue, refreshing):
        for _ in range(2):
            await refreshing.ensure_schedule(client, address.task_queue)
        await stored(db)
    schedule = client.get_schedule_handle(schedule_name(REFRESH_PRICES, address.task_queue))
    described = await schedule.describe()
    await schedule.delete()

    iowa = await db.get(GoogleRegionPrices, "us-central1")
    assert iowa is not None
    assert Decimal(iowa.usd["gpu:nvidia-l4"]) == Decimal("0.57")
    assert [each.every.days for each in described.schedule.spec.intervals] == [1]
    assert described.info.num_actions == 1


async def test_without_a_catalog_there_is_no_schedule_and_nothing_to_do(db: Database, temporal_address: str) -> None:
    client = await connect(EngineAddress(temporal_address, "default", "nobody"))

    await PriceRefreshing(db, None).ensure_schedule(client, "nobody")

    assert await PriceRefreshing(db, None).refresh_prices() == 0
    assert schedule_name(REFRESH_PRICES, "nobody") not in await schedules(client)


async def stored(db: Database) -> None:
    async with asyncio.timeout(20):
        while True:
            if await db.count(GoogleRegionPrices, {}):
                return
            await asyncio.sleep(0.05)


async def schedules(client: Client) -> list[str]:
    return [each.id async for each in await client.list_schedules()]
