"""The schedule and the demand for a refresh, over a real Temporal; and the digest that a launch uses."""

from __future__ import annotations

import secrets
from datetime import timedelta

from billing.workflows import schedule_name
from launch.image_refresh import REFRESH_IMAGES, ImageRefreshing, ensure_image_schedule
from launch.messages import ImageRefresh
from launch.temporal_client import TemporalWorkflowClient, connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.database import Database
from streaming.emulator_images import EmulatorImages
from tests.streaming.test_emulator_images import IMAGE, PEGASUS, Registry


async def test_a_worker_refreshes_one_image_on_demand(db: Database, temporal_address: str) -> None:
    address = EngineAddress(temporal_address, "default", f"test-{secrets.token_hex(4)}")
    client, registry = await connect(address), Registry()
    engine = TemporalWorkflowClient(client, address.task_queue)

    async with build_worker(client, address.task_queue, ImageRefreshing(EmulatorImages(db, registry))):
        await engine.refresh_images(ImageRefresh(IMAGE))
        first = list(registry.asked)
        await engine.refresh_images(ImageRefresh())

    assert first == [IMAGE]
    assert registry.asked == [IMAGE, PEGASUS, IMAGE]


async def test_the_schedule_has_the_interval_of_the_setting(temporal_address: str) -> None:
    address = EngineAddress(temporal_address, "default", f"test-{secrets.token_hex(4)}")
    client = await connect(address)

    await ensure_image_schedule(client, address.task_queue, timedelta(hours=24))
    await ensure_image_schedule(client, address.task_queue, timedelta(hours=6))
    schedule = client.get_schedule_handle(schedule_name(REFRESH_IMAGES, address.task_queue))
    described = await schedule.describe()
    await schedule.delete()

    assert [each.every for each in described.schedule.spec.intervals] == [timedelta(hours=6)]
