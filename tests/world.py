"""A launch with everything real but the outside world: engine, database, worker, placement."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from temporalio.client import Client

from billing.limits import SpendingLimits
from billing.meter import Meter
from fleet.interruptions import InterruptionActivities
from fleet.monitoring import MonitoringActivities, WatchTimes
from fleet.pairing_window import PairingActivities
from fleet.power import PowerActivities
from fleet.provisioning import ProvisioningActivities
from fleet.release import ReleaseActivities
from fleet.service import MachineService
from fleet.warm_pool.planning import WarmPlanning
from fleet.warm_pool.preparing import WarmPreparing
from fleet.warm_pool.releasing import WarmReleasing
from fleet.warm_pool.taking import WarmTaking
from launch.game_source import GameSource
from launch.orders import LaunchOrder
from launch.placement_activities import PlacementActivities
from launch.progress_activities import ProgressActivities
from launch.progress_feed import ProgressFeed
from launch.service import LaunchService
from launch.setup_activities import SetupActivities
from launch.temporal_client import TemporalWorkflowClient, connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.catalog import ConsoleType
from models.database import Database
from models.launches import Launch, LaunchEvent, LaunchStepName, StepStatus
from models.vms import Vm, VmStatus
from placement.coordinates import Position
from placement.geocoding import Geocoder
from placement.ranking import Placements
from providers.base import Place, ProviderName
from providers.registry import Registry
from streaming.emulator_images import EmulatorImages
from tests.fakes.cloud import FakeCloud, site
from tests.fakes.games import FakeGames
from tests.fakes.streaming import FakeStreaming

DALLAS = Position(32.7767, -96.7970)


@dataclass
class World:
    """Everything a launch and a machine touch."""

    db: Database
    cloud: FakeCloud
    google: FakeCloud
    registry: Registry
    streaming: FakeStreaming
    launches: LaunchService
    fleet: MachineService
    client: Client
    engine: TemporalWorkflowClient

    def order(self, **changes: object) -> LaunchOrder:
        values: dict[str, object] = {
            "caller_id": "player-1",
            "user_id": "player-1",
            "console": ConsoleType.SWITCH,
            "game_id": "mario-odyssey",
            "near": DALLAS,
        }
        return LaunchOrder(**{**values, **changes})  # type: ignore[arg-type]  # a test names what it changes

    async def launch(self, **changes: object) -> Launch:
        return await self.launches.request(self.order(**changes))

    async def until_over(self, launch: Launch) -> Launch:
        feed = ProgressFeed(self.db)
        try:
            async for _ in feed.follow(launch.id):
                pass
        finally:
            await feed.close()
        return await self.now(launch)

    async def until_step(self, launch: Launch, step: LaunchStepName, status: StepStatus) -> Launch:
        """The launch as soon as its step has this status, told by the database's own changes."""
        number = list(LaunchStepName).index(step)
        async with asyncio.timeout(30), self.db.watch(Launch, []) as changes:
            while (now := await self.now(launch)).steps[number].status is not status:
                await changes.try_next()
        return now

    async def until_told(self, launch: Launch, message: str) -> None:
        """Until the launch has an event with this message."""
        async with asyncio.timeout(30), self.db.watch(LaunchEvent, []) as changes:
            while message not in [event.message for event in await self.events(launch)]:
                await changes.try_next()

    async def now(self, launch: Launch) -> Launch:
        found = await self.db.get(Launch, launch.id)
        assert found is not None
        return found

    async def vm(self, launch: Launch) -> Vm:
        found = await self.db.get(Vm, (await self.now(launch)).vm_id)
        assert found is not None
        return found

    async def machine(self) -> Vm:
        """A machine that runs, after a launch of its own."""
        return await self.vm(await self.until_over(await self.launch()))

    async def again(self, vm: Vm) -> Vm:
        found = await self.db.get(Vm, vm.id)
        assert found is not None
        return found

    async def until(self, vm: Vm, status: VmStatus) -> Vm:
        return await self.until_changed(vm, lambda now: now.status is status)

    async def until_warned(self, vm: Vm) -> Vm:
        return await self.until_changed(vm, lambda now: now.warnings is not None)

    async def until_changed(self, vm: Vm, so: Callable[[Vm], bool]) -> Vm:
        """The VM as soon as it is so, told by the database's own changes."""
        async with asyncio.timeout(30), self.db.watch(Vm, []) as changes:
            while not so(now := await self.again(vm)):
                await changes.try_next()
        return now

    async def events(self, launch: Launch) -> list[LaunchEvent]:
        return await self.db.find(LaunchEvent, {"launch_id": launch.id}, sort=[("sequence", 1)])


@pytest.fixture
async def world(db: Database, workflow_address: str) -> AsyncIterator[World]:
    """A world with three hosts, a second cloud without any, and a worker at work in it."""
    async with open_world(db, db, workflow_address) as opened:
        yield opened


@pytest.fixture
async def faulty_world(db: Database, faulty_db: Database, workflow_address: str) -> AsyncIterator[World]:
    """The same, whose service reaches its database through `faults`; the test itself does not."""
    async with open_world(db, faulty_db, workflow_address, again_after=timedelta(milliseconds=20)) as opened:
        yield opened


@asynccontextmanager
async def open_world(
    db: Database, served: Database, temporal_address: str, *, again_after: timedelta | None = None
) -> AsyncIterator[World]:
    """`served` is the database as the service reaches it, `db` as the test does."""
    cloud = FakeCloud(
        sites=[
            site("dallas", Place("Dallas", "Texas", "United States")),
            site("chicago", Place("Chicago", "Illinois", "United States")),
            site("tallinn", Place("Tallinn", "Harjumaa", "Estonia")),
        ]
    )
    google = FakeCloud(ProviderName.CLOUDYPAD)
    streaming, games, registry, meter = FakeStreaming(), FakeGames(), Registry([cloud, google]), Meter(served)
    placements = Placements(served, registry, Geocoder(served, online=False))
    address = EngineAddress(temporal_address, "default", f"test-{secrets.token_hex(4)}")
    client = await connect(address)
    engine = TemporalWorkflowClient(client, address.task_queue)
    launches = LaunchService(served, engine, registry, placements, games, SpendingLimits(served))
    worker = build_worker(
        client,
        address.task_queue,
        ProgressActivities(served),
        PlacementActivities(served, placements, engine, poll_s=0.02),
        SetupActivities(served, streaming, GameSource(served, games), registry, poll_s=0.02),
        ProvisioningActivities(served, registry, meter, settle_s=0.2, poll_s=0.02),
        ReleaseActivities(served, registry, meter, settle_s=0.2, poll_s=0.02),
        PowerActivities(served, registry, streaming, meter, launches, poll_s=0.02),
        MonitoringActivities(served, registry, streaming, WatchTimes(look_s=0.1, look_stopped_s=0.1, price_every_s=1)),
        PairingActivities(served, streaming, pause_s=0.02),
        InterruptionActivities(served, registry, streaming, launches),
        WarmPlanning(served, registry, placements, engine),
        WarmPreparing(served, registry, streaming, EmulatorImages(served), engine, settle_s=0.2, poll_s=0.02),
        WarmReleasing(served, registry, engine, settle_s=0.2, poll_s=0.02),
        WarmTaking(served, engine),
        again_after=again_after,
    )
    running = asyncio.create_task(worker.run())
    opened = World(
        db=db,
        cloud=cloud,
        google=google,
        registry=registry,
        streaming=streaming,
        launches=launches,
        fleet=MachineService(served, engine, engine),
        client=client,
        engine=engine,
    )
    try:
        yield opened
    finally:
        await worker.shutdown()
        await running
