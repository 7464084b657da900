"""Builds the worker: it runs Temporal's workflows and activities, and the schedules for sweeping and billing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from billing.google_billing import GoogleBillingImport
from billing.limits import SpendingLimits
from billing.meter import Meter
from billing.rollups import Rollups
from billing.tensordock_billing import BalanceSampler
from billing.webhooks import AlertWebhooks, Webhook
from composition.dependencies import Dependencies
from composition.providers import catalog_of_prices, compute_engine, google_tokens
from composition.waiting import retry_until_available
from fleet.adoption import Adoption
from fleet.service import MachineCommandClient, MachineService
from fleet.sweeper import Sweeper
from fleet.warm_pool.holding import KnownWorkflows
from launch.game_source import GameSource
from launch.service import LaunchService
from providers.container_registry import ContainerRegistry
from providers.google.billing_export import BillingExport
from providers.google.images import GoogleImages
from providers.tensordock.provider import ORDERS_UNDER_WAY_S
from settings import Settings, SettingsError
from streaming.emulator_images import EmulatorImages

if TYPE_CHECKING:
    from temporalio.client import Client

T = TypeVar("T")
_SWEEP_EVERY: Final = timedelta(minutes=1)
log = logging.getLogger("server")


async def work(settings: Settings, parts: Dependencies, stopping: asyncio.Event, *, adopt: bool = False) -> None:
    """Run a worker until `stopping` is set. Wait while Temporal is unavailable.

    Raise SettingsError if the task queue belongs to another deployment; `adopt` takes it over.
    """
    from billing.price_refresh import PriceRefreshing
    from billing.workflows import BillingActivities, ensure_cost_schedules
    from fleet.save_purge import SavePurge, ensure_purge_schedule
    from fleet.schedules import Sweeping, claim_queue, ensure_schedules
    from fleet.spending_workflows import ensure_spending_schedule
    from fleet.warm_pool.workflows import ensure_warm_pool_schedule
    from launch.ended_runs import InterruptedLaunches
    from launch.golden_images import ensure_build_schedule
    from launch.image_refresh import ImageRefreshing, ensure_image_schedule
    from launch.recovery import LaunchRecovery, ensure_rescue_schedule
    from launch.scheduled.starting import StartingScheduled
    from launch.scheduled.workflow import ensure_start_schedule
    from launch.temporal_client import TemporalWorkflowClient, connect, require_temporal
    from launch.versions import WorkerVersions
    from launch.worker import build_worker

    address, queue = parts.engine_address, settings.temporal_task_queue
    prices = PriceRefreshing(parts.db, catalog_of_prices(settings))

    async def ensure_all_schedules(client: Client) -> None:
        async with require_temporal(address):
            await ensure_schedules(client, queue, _SWEEP_EVERY)
            await ensure_cost_schedules(client, queue)
            await ensure_spending_schedule(client, queue)
            await ensure_rescue_schedule(client, queue)
            await ensure_warm_pool_schedule(client, queue)
            await ensure_start_schedule(client, queue)
            await ensure_purge_schedule(client, queue)
            await prices.ensure_schedule(client, queue)
            await ensure_image_schedule(client, queue, timedelta(hours=settings.image_check_hours))
            if settings.golden_image_locations:
                await ensure_build_schedule(client, queue, timedelta(days=settings.golden_image_days))
            other = await claim_queue(client, queue, settings.deployment, adopt=adopt)
        if other is not None:
            raise SettingsError(
                f"TEMPORAL_TASK_QUEUE: {queue} is served by the workers of the deployment {other}, and this is "
                f"{settings.deployment}. Use another queue, or take this one over permanently with --adopt-database. "
                f"Example: TEMPORAL_TASK_QUEUE=gamer-{settings.deployment}"
            )

    client = await retry_until_available(lambda: connect(address), "temporal")
    await retry_until_available(lambda: ensure_all_schedules(client), "temporal")
    engine = TemporalWorkflowClient(client, settings.temporal_task_queue)
    worker = build_worker(
        client,
        settings.temporal_task_queue,
        *_activities(settings, parts, engine),
        *_warm_pool(settings, parts, engine),
        StartingScheduled(parts.db, _launches(settings, parts), parts.placements),
        LaunchRecovery(parts.db, engine, interrupted=InterruptedLaunches(parts.db, engine, settings.deployment)),
        Sweeping(sweeper_of(settings, parts)),
        SavePurge(parts.bucket, timedelta(days=settings.saves_undelete_days)),
        prices,
        ImageRefreshing(_images(settings, parts)),
        _image_building(settings, parts),
        BillingActivities(Rollups(parts.db), BalanceSampler(parts.db, parts.balance), _billing_export(settings, parts)),
        _spending(settings, parts),
        failed=parts.metrics.activity_failed,
        build_id=settings.worker_build_id,
    )
    versions = WorkerVersions(client, settings.temporal_task_queue, settings.worker_build_id)
    async with worker, versions.keep_settled(), _running(parts.reports.keep()):
        await stopping.wait()


@contextlib.asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _activities(settings: Settings, parts: Dependencies, engine: MachineCommandClient) -> list[object]:
    from fleet.interruptions import InterruptionActivities
    from fleet.monitoring import MonitoringActivities, WatchTimes
    from fleet.pairing_window import PairingActivities
    from fleet.power import PowerActivities
    from fleet.provisioning import ProvisioningActivities
    from fleet.release import ReleaseActivities
    from launch.placement_activities import PlacementActivities
    from launch.progress_activities import ProgressActivities
    from launch.setup_activities import SetupActivities

    db, registry, streaming, meter = parts.db, parts.registry, parts.streaming, Meter(parts.db)
    assert streaming is not None, "a worker connects to machines"
    settle_s = settings.tensordock_settle_seconds + ORDERS_UNDER_WAY_S
    launches = _launches(settings, parts)
    return [
        ProgressActivities(db),
        PlacementActivities(db, parts.placements, engine, deployment=settings.deployment),
        SetupActivities(db, streaming, GameSource(db, parts.library, _images(settings, parts)), registry),
        ProvisioningActivities(db, registry, meter, settle_s=settle_s, deployment=settings.deployment),
        ReleaseActivities(db, registry, meter, streaming.forget, settle_s=settle_s, deployment=settings.deployment),
        PowerActivities(db, registry, streaming, meter, launches),
        MonitoringActivities(db, registry, streaming, WatchTimes()),
        PairingActivities(db, streaming),
        InterruptionActivities(db, registry, streaming, launches),
    ]


def _image_building(settings: Settings, parts: Dependencies) -> object:
    from launch.golden_images import Google, ImageBuilding

    assert parts.streaming is not None, "a worker connects to machines"
    compute = compute_engine(settings, parts.http)
    return ImageBuilding(
        parts.db,
        _launches(settings, parts),
        MachineService(parts.db, parts.engine, parts.engine, deployment=settings.deployment),
        parts.streaming,
        None if compute is None else Google(compute, GoogleImages(compute), settings.golden_image_locations),
        _images(settings, parts).pinned,
        deployment=settings.deployment,
    )


def _warm_pool(settings: Settings, parts: Dependencies, engine: KnownWorkflows) -> list[object]:
    from fleet.warm_pool.planning import WarmPlanning
    from fleet.warm_pool.preparing import WarmPreparing
    from fleet.warm_pool.releasing import WarmReleasing
    from fleet.warm_pool.taking import WarmTaking

    assert parts.streaming is not None, "a worker connects to machines"
    settle_s = settings.tensordock_settle_seconds + ORDERS_UNDER_WAY_S
    return [
        WarmPlanning(parts.db, parts.registry, parts.placements, engine, deployment=settings.deployment),
        WarmPreparing(parts.db, parts.registry, parts.streaming, _images(settings, parts), engine, settle_s=settle_s),
        WarmReleasing(parts.db, parts.registry, engine, parts.streaming.forget, settle_s=settle_s),
        WarmTaking(parts.db, engine),
    ]


def _spending(settings: Settings, parts: Dependencies) -> object:
    from fleet.spending_enforcement import Spending

    webhook = None
    if settings.alert_webhook_url is not None and settings.alert_webhook_secret is not None:
        webhook = Webhook(str(settings.alert_webhook_url), settings.alert_webhook_secret)
    webhooks = AlertWebhooks(parts.db, parts.http, webhook)
    grace = timedelta(seconds=settings.spending_stop_grace_seconds)
    machines = MachineService(parts.db, parts.engine, parts.engine, deployment=settings.deployment)
    return Spending(parts.db, machines, _launches(settings, parts), webhooks, grace=grace)


def _images(settings: Settings, parts: Dependencies) -> EmulatorImages:
    url = settings.image_registry_url
    return EmulatorImages(parts.db, ContainerRegistry(parts.http, None if url is None else str(url)))


def _launches(settings: Settings, parts: Dependencies) -> LaunchService:
    return LaunchService(
        parts.db,
        parts.engine,
        parts.registry,
        parts.placements,
        parts.library,
        SpendingLimits(parts.db),
        refuse_unplayable=settings.refuse_unplayable,
    )


def sweeper_of(settings: Settings, parts: Dependencies) -> Sweeper:
    """Return the sweeper."""
    return Sweeper(
        parts.db,
        parts.registry,
        Meter(parts.db),
        deployment=settings.deployment,
        inventories=parts.inventories,
        workflows=parts.engine,
    )


def adoption_of(parts: Dependencies) -> Adoption:
    """Return the adoption of machines without records."""
    assert parts.streaming is not None, "adoption connects to machines"
    return Adoption(parts.db, parts.registry, parts.streaming, Meter(parts.db))


def _billing_export(settings: Settings, parts: Dependencies) -> GoogleBillingImport | None:
    """Return the import of Google's billing export; None if it is not configured."""
    table, project = settings.gcp_billing_export_table, settings.gcp_project_id
    if table is None or project is None:
        return None
    tokens = google_tokens(settings, parts.http)
    account, url = settings.gcp_billing_account, str(settings.gcp_bigquery_url)
    return GoogleBillingImport(parts.db, BillingExport(parts.http, tokens, project, table, account=account, url=url))
