"""A warm pool in memory: a cloud, a setup, and workers that can be made to die at any write."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from temporalio.testing import ActivityEnvironment

from fleet.warm_pool.messages import TakenWarm, TakeWarm, WarmMachineInput
from fleet.warm_pool.metering import chain_id
from fleet.warm_pool.planning import WarmPlanning
from fleet.warm_pool.preparing import WarmPreparing
from fleet.warm_pool.releasing import WarmReleasing
from fleet.warm_pool.taking import WarmTaking
from models.catalog import CONSOLES, ConsoleType, PresetName
from models.database import Database
from models.launch_times import LaunchTime
from models.launches import Launch, LaunchStatus, LaunchStepName, Step, new_id
from models.usage import UsageInterval
from models.vms import VmPlace
from models.warm_machines import POOL_ID, WarmMachine, WarmPool, WarmStatus
from placement.geocoding import Geocoder
from placement.ranking import Placements
from providers.base import Offer, Place, ProviderName
from providers.registry import Registry
from streaming.emulator_images import EmulatorImages
from tests.fakes.cloud import FakeCloud, site
from tests.fakes.streaming import FakeStreaming
from tests.fakes.workflows import FakeWorkflows

T = TypeVar("T")
_attempts = itertools.count(1)


class DiedError(Exception):
    """The worker is gone."""


class MortalDatabase(Database):
    """The database as a worker reaches it that dies at its write number `dies_at`, before or after it is made."""

    def __init__(self, uri: str, name: str) -> None:
        super().__init__(uri, name)
        self.dies_at: int | None = None
        self.writes = 0

    async def update(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().update(*args, **kwargs))

    async def insert(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().insert(*args, **kwargs))

    async def insert_many(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().insert_many(*args, **kwargs))

    async def _write(self, made: Awaitable[T]) -> T:
        self._step(made)
        result = await made
        self._step(None)
        return result

    def _step(self, unmade: Awaitable[Any] | None) -> None:
        self.writes += 1
        if self.writes == self.dies_at:
            if unmade is not None:
                unmade.close()  # type: ignore[attr-defined]  # a coroutine that is never awaited
            raise DiedError


class Pool:
    """The pool's activities on one worker, or on several that share database and cloud."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.cloud = FakeCloud(sites=[site("dallas", Place("Dallas", "Texas", "United States"))])
        self.streaming = FakeStreaming()
        self.registry = Registry([self.cloud])
        self.workflows = FakeWorkflows()

    def planning(self, db: Database | None = None) -> WarmPlanning:
        served = db or self.db
        placements = Placements(served, self.registry, Geocoder(served, online=False))
        return WarmPlanning(served, self.registry, placements, self.workflows)

    async def prepare(self, machine: WarmMachine, db: Database | None = None, *, poll_s: float = 0.01) -> None:
        served = db or self.db
        images = EmulatorImages(served)
        activities = WarmPreparing(
            served, self.registry, self.streaming, images, self.workflows, settle_s=0.05, poll_s=poll_s, billed_s=0.05
        )
        await run(activities.prepare, WarmMachineInput(machine.id))

    async def release(self, machine: WarmMachine, db: Database | None = None) -> None:
        activities = WarmReleasing(db or self.db, self.registry, self.workflows, settle_s=0.05, poll_s=0.01)
        await run(activities.release, WarmMachineInput(machine.id))

    async def take(self, launch: Launch, *machines: WarmMachine, db: Database | None = None) -> TakenWarm:
        wanted = TakeWarm(launch.id, tuple(machine.id for machine in machines))
        taken: TakenWarm = await run(WarmTaking(db or self.db, self.workflows).take, wanted)
        return taken

    def offer(self) -> Offer:
        """What the site in Dallas asks for."""
        offer = self.cloud.offer(self.cloud.stock[0], CONSOLES[ConsoleType.WII].preset.shape)
        assert offer is not None
        return offer

    async def ready(self) -> WarmMachine:
        """A machine that is ready, off at its cloud."""
        machine = a_machine()
        await self.db.insert(machine)
        await self.prepare(machine)
        return await self.again(machine)

    async def again(self, machine: WarmMachine) -> WarmMachine:
        found = await self.db.get(WarmMachine, machine.id)
        assert found is not None
        return found

    async def launch(self, **changes: Any) -> Launch:
        launch = a_launch(**changes)
        await self.db.insert(launch)
        return launch

    async def intervals(self, machine: WarmMachine) -> list[UsageInterval]:
        """Its usage in the pool, in order."""
        return await self.db.find(UsageInterval, {"vm_id": chain_id(machine.id)}, sort=[("number", 1)])

    async def set_ceiling(self, usd_per_day: str) -> None:
        await self.db.replace(WarmPool(id=POOL_ID, ceiling_usd_per_day=Decimal(usd_per_day)))

    async def was_busy(self, now: datetime, a_day: int, days: int = 14) -> None:
        """On each of the last days, so many launches were requested in the hour that begins now."""
        for number in range(a_day * days):
            requested_at = now - timedelta(days=1 + number // a_day) + timedelta(minutes=10)
            await self.db.insert(
                LaunchTime(
                    id=new_id(),
                    provider=ProviderName.TENSORDOCK,
                    site_id="dallas",
                    preset=PresetName.PREMIUM,
                    warm=False,
                    seconds=600,
                    ready_at=requested_at + timedelta(seconds=600),
                )
            )


async def run(work: Callable[[Any], Awaitable[T]], argument: object) -> T:
    """Run an activity as its next attempt."""
    environment = ActivityEnvironment()
    scheduled = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=next(_attempts))
    environment.info = replace(environment.info, current_attempt_scheduled_time=scheduled)
    return await environment.run(work, argument)


def a_machine(**changes: Any) -> WarmMachine:
    machine_id, now = new_id(), datetime.now(UTC)
    values: dict[str, Any] = {
        "id": machine_id,
        "tag": f"gamer-main-{machine_id}",
        "provider": ProviderName.TENSORDOCK,
        "preset": PresetName.PREMIUM,
        "console": ConsoleType.WII,
        "vcpus": 8,
        "ram_gb": 16,
        "storage_gb": 200,
        "gpu_model": "geforcertx4090-pcie-24gb",
        "place": VmPlace(site_id="dallas", city="Dallas", latitude=32.78, longitude=-96.8),
        "usd_per_hour": Decimal("0.424"),
        "usd_per_hour_stopped": Decimal("0.01"),
        "created_at": now,
        "prepare_until": now + timedelta(minutes=75),
        **changes,
    }
    return WarmMachine(**values)


def a_launch(**changes: Any) -> Launch:
    launch_id = new_id()
    values: dict[str, Any] = {
        "id": launch_id,
        "caller_id": "player-1",
        "idempotency_key": launch_id,
        "user_id": "player-1",
        "console": ConsoleType.WII,
        "idle_stop_minutes": 15,
        "max_session_hours": 4,
        "status": LaunchStatus.RUNNING,
        "steps": [Step(name=name) for name in LaunchStepName],
        "requested_at": datetime.now(UTC),
        **changes,
    }
    return Launch(**values)


def open_ones(machines: list[WarmMachine]) -> list[WarmMachine]:
    return [each for each in machines if each.status in {WarmStatus.PREPARING, WarmStatus.READY}]
