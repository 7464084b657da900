"""Records one history for each path of our workflows: `make histories` writes them into a folder of today's date.

They are run by pytest for its worlds, and not collected with the tests: these only replay what is committed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from billing.limits import SpendingLimits
from billing.meter import Meter
from billing.price_refresh import PriceRefreshing, PriceRefreshWorkflow
from billing.rollups import Rollups
from billing.tensordock_billing import BalanceSampler
from billing.webhooks import AlertWebhooks, Webhook
from billing.workflows import (
    BillingActivities,
    CheckWorkflow,
    FetchExportWorkflow,
    LookAtBalanceWorkflow,
    RollUpWorkflow,
)
from errors import InvalidStateError, MachineLostError, NoCapacityError, ProviderRefusedError
from fleet.inputs import MachineInput
from fleet.messages import Command, MonitorState, PairingInput, launch_workflow_id, machine_workflow_id
from fleet.pairing_service import PairingService
from fleet.pairing_window import pairing_workflow_id
from fleet.save_purge import PurgeDeletedSavesWorkflow, SavePurge
from fleet.schedules import Sweeping, SweepWorkflow
from fleet.spending_enforcement import Spending
from fleet.spending_workflows import TellAlertWorkflow, WatchSpendingWorkflow, alert_workflow_id
from fleet.sweeper import Sweeper
from fleet.warm_pool.messages import warm_workflow_id
from fleet.warm_pool.planning import WarmPlanning
from fleet.warm_pool.workflows import WarmPoolWorkflow
from fleet.workflow import MachineWorkflow
from launch.golden_images import BuildImagesWorkflow
from launch.image_refresh import ImageRefreshing, RefreshImagesWorkflow
from launch.recovery import LaunchRecovery, RescueWorkflow
from launch.scheduled.starting import StartingScheduled
from launch.scheduled.workflow import StartScheduledWorkflow
from launch.worker import build_worker
from models.launches import LaunchStatus
from models.limits import AlertLevel, LimitPeriod, SpendingAlert, SpendingStop
from models.roles import Role
from models.usage import UsageInterval
from models.vms import Notice, Vm, VmStatus
from placement.geocoding import Geocoder
from placement.ranking import Placements
from providers.base import MachineState
from providers.http import Http
from providers.storage.bucket import Bucket
from streaming.emulator_images import EmulatorImages
from tests.fleet.test_interruptions import machine_at_google
from tests.fleet.warm_pool.pool import a_machine
from tests.launch.test_golden_images import Built
from tests.launch.test_versions import Builds, until_on
from tests.launch.test_warm_launch import ready_machine
from tests.providers.games_bucket import bucket, server
from tests.world import World, world

__all__ = ["bucket", "server", "world"]

SETS = Path(__file__).parent
QUEUE = f"recording-{secrets.token_hex(4)}"


def new_set(today: str) -> Path:
    """Return a folder that is not there yet: what is recorded already is never overwritten."""
    names = (today, *(f"{today}-{number}" for number in itertools.count(2)))
    return next(SETS / name for name in names if not (SETS / name).exists())


FOLDER = SETS / named if (named := os.environ.get("HISTORIES")) else new_set(f"{datetime.now(UTC):%Y-%m-%d}")
Record = Callable[..., Awaitable[None]]


@pytest.fixture
def record(world: World) -> Record:
    async def record(name: str, workflow: str, *, ended: bool = True, run_id: str | None = None) -> None:
        handle = world.client.get_workflow_handle(workflow, run_id=run_id)
        if ended and run_id is None:
            await handle.result(follow_runs=False)
        history = json.loads((await handle.fetch_history()).to_json())
        FOLDER.mkdir(exist_ok=True)
        events = ",\n".join(json.dumps(_scrubbed(event), separators=(",", ":")) for event in history["events"])
        (FOLDER / f"{name}.json").write_text(f'{{"events":[\n{events}\n]}}\n')

    return record


def _scrubbed(value: Any) -> Any:
    """Return the event without names and paths of the machine that it was recorded on."""
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items() if key not in {"identity", "stackTrace"}}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value


async def test_launch_ready_and_machine_running(world: World, record: Record) -> None:
    launch = await world.until_over(await world.launch())
    assert launch.status is LaunchStatus.READY

    await record("launch-ready", launch_workflow_id(launch.id))
    await world.fleet.pair(await world.vm(launch), "1234")
    await record("machine-running", machine_workflow_id(launch.vm_id or ""), ended=False)


async def test_pairing(world: World, record: Record) -> None:
    vm = await world.machine()
    world.streaming.failures["pair_next"] = [InvalidStateError("no device requests pairing", "NO_PAIRING_REQUEST")]
    window = await PairingService(world.db, world.engine).start(vm)

    await record("pairing", pairing_workflow_id(PairingInput(vm.id, window.number)))


async def test_launch_failover(world: World, record: Record) -> None:
    world.cloud.full = {world.cloud.stock[0].id}
    world.streaming.failures["install"] = [MachineLostError("the disk is broken")]
    launch = await world.until_over(await world.launch())
    assert launch.status is LaunchStatus.READY

    await record("launch-failover", launch_workflow_id(launch.id))


async def test_launch_cancelled(world: World, record: Record) -> None:
    reached = world.streaming.hold("install")
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    launch = await world.launches.cancel(launch)
    world.streaming.let_go("install")
    assert (await world.until_over(launch)).status is LaunchStatus.CANCELLED

    await record("launch-cancelled", launch_workflow_id(launch.id))


async def test_launch_failed_and_compensated(world: World, record: Record) -> None:
    world.streaming.failures["mount_library"] = [ProviderRefusedError("the bucket says no")]
    launch = await world.until_over(await world.launch())
    assert (launch.status, world.cloud.rented) == (LaunchStatus.FAILED, {})

    await record("launch-failed", launch_workflow_id(launch.id))


async def test_launch_on_a_running_machine(world: World, record: Record) -> None:
    await world.machine()
    launch = await world.until_over(await world.launch())
    assert world.cloud.ever_rented == 1

    await record("launch-on-running-machine", launch_workflow_id(launch.id))


async def test_launch_that_starts_a_stopped_machine(world: World, record: Record) -> None:
    vm = await stopped(world, await world.machine())
    launch = await world.until_over(await world.launch())
    assert launch.vm_id == vm.id

    await record("launch-starts-machine", launch_workflow_id(launch.id))


async def test_launch_that_replaces_a_machine_without_hardware(world: World, record: Record) -> None:
    vm = await stopped(world, await world.machine())
    world.cloud.failures["start"] = [NoCapacityError("its GPU was given away")]
    launch = await world.until_over(await world.launch())
    assert launch.vm_id not in {vm.id, None}

    await record("launch-replaces-machine", launch_workflow_id(launch.id))


async def test_machine_stopped_and_started(world: World, record: Record) -> None:
    vm = await stopped(world, await world.machine())
    await world.fleet.command(vm, Command.START, "asked")
    running = await world.until(vm, VmStatus.RUNNING)
    await world.fleet.command(running, Command.RESTART, "asked")
    await world.until_changed(vm, lambda now: now.status is VmStatus.STARTING)
    await world.until(vm, VmStatus.RUNNING)

    await record("machine-stop-start", machine_workflow_id(vm.id), ended=False)


async def test_machine_with_several_commands_at_once(world: World, record: Record) -> None:
    vm = await world.machine()
    commands = (Command.STOP, Command.STOP, Command.RESTART, Command.START)
    await asyncio.gather(*(world.fleet.command(vm, each, "asked") for each in commands), return_exceptions=True)
    await world.until(vm, VmStatus.STOPPED)
    await asyncio.gather(*(world.fleet.command(vm, Command.START, "asked") for _ in range(2)))
    await world.until(vm, VmStatus.RUNNING)

    await record("machine-commands-at-once", machine_workflow_id(vm.id), ended=False)


async def test_machine_that_moves_to_a_new_build(world: World, record: Record) -> None:
    async with AsyncExitStack() as stack:
        builds = Builds(world.client, stack)
        old = await builds.start("old", number=1)
        await old.settle()
        machine = await builds.machine()
        await until_on("old", machine)
        new = await builds.start("new", number=1)
        await new.settle()
        await until_on("new", machine)
        await record("machine-moved", machine.id, run_id=machine.first_execution_run_id)
        await builds.client.get_workflow_handle(machine.id).terminate()


async def test_machine_deleted(world: World, record: Record) -> None:
    vm = await world.machine()
    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until(vm, VmStatus.DELETED)

    await record("machine-deleted", machine_workflow_id(vm.id))


async def test_stopped_machine_deleted(world: World, record: Record) -> None:
    vm = await stopped(world, await world.machine())
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"saves_pending": True}})
    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until(vm, VmStatus.DELETED)

    await record("machine-deleted-after-rescue", machine_workflow_id(vm.id))


async def test_machine_whose_saves_cannot_be_uploaded(world: World, record: Record) -> None:
    vm = await world.machine()
    world.streaming.always["upload_saves"] = ProviderRefusedError("the bucket is away")
    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until_changed(vm, lambda now: now.status is VmStatus.RUNNING and now.saves_warning is not None)

    await record("machine-saves-refused", machine_workflow_id(vm.id), ended=False)


async def test_machine_stopped_when_idle(world: World, record: Record) -> None:
    vm = await world.machine()
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"last_activity_at": long_ago}})
    await world.until(vm, VmStatus.STOPPED)

    await record("machine-idle-stop", machine_workflow_id(vm.id), ended=False)


async def test_machine_stopped_at_the_cloud_and_rescued(world: World, record: Record) -> None:
    vm = await world.machine()
    world.cloud.become_all(MachineState.BROKEN)
    await world.until(vm, VmStatus.STOPPED)
    await world.until_changed(vm, lambda now: now.status is VmStatus.STOPPED and not now.saves_pending)

    await record("machine-broken", machine_workflow_id(vm.id), ended=False)


async def test_machine_vanished(world: World, record: Record) -> None:
    vm = await world.machine()
    world.cloud.vanish_all()
    await world.until(vm, VmStatus.DELETED)

    await record("machine-vanished", machine_workflow_id(vm.id))


async def test_machine_continued(world: World, record: Record) -> None:
    """As a run begins that continues another."""
    vm = await world.machine()
    handle = world.client.get_workflow_handle(machine_workflow_id(vm.id))
    task_queue = (await handle.describe()).task_queue
    await handle.terminate()
    now = datetime.now(UTC)
    await world.client.start_workflow(
        MachineWorkflow.run,
        MachineInput(vm.id, MonitorState(there_at=now, cared_at=now, silent=1)),
        id=machine_workflow_id(vm.id),
        task_queue=task_queue,
    )
    await world.fleet.command(vm, Command.DELETE, "asked")
    await world.until(vm, VmStatus.DELETED)

    await record("machine-continued", machine_workflow_id(vm.id))


async def test_spending_stop(world: World, record: Record) -> None:
    vm = await world.machine()
    await world.db.update_many(UsageInterval, {"vm_id": vm.id}, {"$set": {"machine_usd_per_hour": Decimal(10**9)}})
    await SpendingLimits(world.db).set(
        LimitPeriod.DAILY, Decimal("0.0001"), "player-1", hard=True, by=("olga", Role.OPERATOR)
    )
    http = Http()
    webhook = Webhook("http://127.0.0.1:9/refuses", SecretStr("a secret that only the receiver knows"))
    spending = Spending(
        world.db, world.fleet, world.launches, AlertWebhooks(world.db, http, webhook), grace=timedelta(0)
    )
    async with build_worker(world.client, QUEUE + "-spending", spending):
        await run(world, WatchSpendingWorkflow, "watch-spending", "-spending")
        assert await world.db.count(SpendingStop, {}) == 1
        await run(world, WatchSpendingWorkflow, "watch-spending-again", "-spending")
        await world.until(vm, VmStatus.STOPPED)
        alerts = await world.db.find(SpendingAlert, {"level": AlertLevel.CRITICAL})
        await record("spending-stop", f"watch-spending-again-{QUEUE}")
        await record("spending-stop-first-warning", f"watch-spending-{QUEUE}")
        await record("machine-spending-stop", machine_workflow_id(vm.id), ended=False)
        await record("tell-alert-waiting", alert_workflow_id(alerts[0].id), ended=False)
    await http.close()


async def test_tell_alert(world: World, record: Record) -> None:
    http = Http()
    spending = Spending(world.db, world.fleet, world.launches, AlertWebhooks(world.db, http, None))
    async with build_worker(world.client, QUEUE + "-alerts", spending):
        await run(world, TellAlertWorkflow, "tell-alert", "-alerts", "no-such-alert")
    await record("tell-alert", f"tell-alert-{QUEUE}")
    await http.close()


async def test_sweep_and_books(world: World, record: Record) -> None:
    await world.machine()
    world.cloud.unlisted = set(world.cloud.rented)
    bearers = (
        Sweeping(Sweeper(world.db, world.registry, Meter(world.db))),
        BillingActivities(Rollups(world.db), BalanceSampler(world.db, _Balance())),
        PriceRefreshing(world.db, None),
        LaunchRecovery(world.db, world.engine),
        ImageRefreshing(EmulatorImages(world.db, _Digests())),
    )
    workflows = {
        "sweep": SweepWorkflow,
        "roll-up": RollUpWorkflow,
        "check-costs": CheckWorkflow,
        "look-at-balance": LookAtBalanceWorkflow,
        "fetch-export": FetchExportWorkflow,
        "refresh-prices": PriceRefreshWorkflow,
        "refresh-images": RefreshImagesWorkflow,
        "rescue": RescueWorkflow,
    }
    async with build_worker(world.client, QUEUE + "-books", *bearers):
        for name, workflow in workflows.items():
            await run(world, workflow, name, "-books")
            await record(name, f"{name}-{QUEUE}")


async def test_warm_machine_and_the_launch_that_takes_it(world: World, record: Record) -> None:
    machine = await ready_machine(world)
    launch = await world.until_over(await world.launch())
    assert launch.vm_id == machine.id

    await record("warm-machine", warm_workflow_id(machine.id))
    await record("launch-takes-warm-machine", launch_workflow_id(launch.id))


async def test_warm_pool(world: World, record: Record) -> None:
    machine = a_machine()
    await world.db.insert(machine)
    placements = Placements(world.db, world.registry, Geocoder(world.db, online=False))
    planning = WarmPlanning(world.db, world.registry, placements, world.engine)
    async with build_worker(world.client, QUEUE + "-warm", planning):
        await run(world, WarmPoolWorkflow, "warm-pool", "-warm")
    await record("warm-pool", f"warm-pool-{QUEUE}")


async def test_start_scheduled(world: World, record: Record) -> None:
    placements = Placements(world.db, world.registry, Geocoder(world.db, online=False))
    starting = StartingScheduled(world.db, world.launches, placements)
    async with build_worker(world.client, QUEUE + "-scheduled", starting):
        await run(world, StartScheduledWorkflow, "start-scheduled", "-scheduled")
    await record("start-scheduled", f"start-scheduled-{QUEUE}")


async def test_machine_taken_by_its_cloud(world: World, record: Record) -> None:
    vm = await machine_at_google(world)
    world.streaming.notices.put_nowait(Notice.MAINTENANCE)
    await world.until_changed(vm, lambda now: now.notice is Notice.MAINTENANCE)
    world.streaming.notices.put_nowait(Notice.PREEMPTED)
    await world.until(vm, VmStatus.STOPPED)

    await record("machine-taken", machine_workflow_id(vm.id), ended=False)


async def test_disk_images(world: World, record: Record) -> None:
    built = Built(world)
    async with build_worker(world.client, QUEUE + "-images", built.building):
        await run(world, BuildImagesWorkflow, "build-images", "-images")
    await record("build-images", f"build-images-{QUEUE}")


async def test_purge(world: World, record: Record, bucket: Bucket) -> None:
    async with build_worker(world.client, QUEUE + "-saves", SavePurge(bucket, timedelta(days=30))):
        await run(world, PurgeDeletedSavesWorkflow, "purge-saves", "-saves")
    await record("purge-saves", f"purge-saves-{QUEUE}")


class _Digests:
    async def digest(self, image: str) -> str:
        return f"sha256:{'0' * 64}"


class _Balance:
    async def balance(self) -> Decimal:
        return Decimal("12.50")


async def run(world: World, workflow: Any, name: str, suffix: str, *arguments: object) -> None:
    await world.client.execute_workflow(workflow.run, args=arguments, id=f"{name}-{QUEUE}", task_queue=QUEUE + suffix)


async def stopped(world: World, vm: Vm) -> Vm:
    await world.fleet.command(vm, Command.STOP, "asked")
    return await world.until(vm, VmStatus.STOPPED)
