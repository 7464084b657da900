"""The objects that gateway and worker share, opened and closed together."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from billing.google_prices import GooglePrices
from billing.tensordock_billing import Balance
from composition.embedded_defaults import simulates_google
from composition.files import check_files
from composition.identity import Account
from composition.providers import (
    cloudypad_cli,
    cloudypad_options,
    compute_engine,
    game_bucket,
    google_tokens,
    library_source,
    location_finder,
    secret_text,
    ssh_key_path,
    tensordock_is_simulated,
    tensordock_options,
)
from errors import ProviderRefusedError
from fleet.provider_reports import ProviderReports, ReportedHealth
from fleet.sweep_plan import Inventory
from launch.playable_time import PlayableTimes
from launch.workflow_client import EngineAddress, LazyWorkflowClient
from models.database import Database
from models.golden_images import GoldenImages
from models.write_probe import WriteProbe
from placement.geocoding import Geocoder
from placement.google_network_order import NetworkOrders
from placement.ranking import Placements, Weights
from providers.base import Provider, ProviderName
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad
from providers.http import Http
from providers.instrumented import InstrumentedProvider
from providers.registry import Registry
from providers.storage.bucket import Bucket
from providers.tensordock.provider import TensorDock
from settings import Environment, Settings, SettingsError
from streaming.library import Library
from web.metrics import Metrics

if TYPE_CHECKING:
    from streaming.keys import KeyPair
    from streaming.machine import StreamingMachines

VERSION: Final = "1.0.0"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The objects that gateway and worker are built from."""

    db: Database
    write_probe: WriteProbe
    engine: LazyWorkflowClient
    engine_address: EngineAddress
    registry: Registry
    inventories: Sequence[Inventory]
    placements: Placements
    library: Library
    bucket: Bucket
    streaming: StreamingMachines | None  # None: this process does not connect to machines
    http: Http
    reports: ProviderReports
    balance: Balance
    tensordock_account: Account
    metrics: Metrics


@contextlib.asynccontextmanager
async def compose(settings: Settings, *, works: bool = True) -> AsyncIterator[Dependencies]:
    """Open the shared objects, and close them at the end.

    A process that does not work (a gateway) connects to no machines, and needs no SSH key, CloudyPad or library key.
    """
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(check_files, settings, works=works)
        metrics = Metrics(VERSION)
        db = _database(settings, metrics)
        stack.push_async_callback(db.close)
        http = Http()
        stack.push_async_callback(http.close)
        address = engine_address(settings)
        key = await key_pair(settings) if works else None
        tensordock = TensorDock(tensordock_options(settings, None if key is None else key.public_key), http)
        stack.push_async_callback(tensordock.close)
        cloudypad = cloudypad_cli(settings, db)
        providers: list[Provider] = [tensordock]
        inventories: list[Inventory] = []
        if settings.gcp_project_id is not None:
            tokens = google_tokens(settings, http)
            google = CloudyPad(
                cloudypad_options(settings),
                cloudypad,
                tokens,
                GooglePrices(db).current,
                compute=compute_engine(settings, http),
                images=_golden_images(settings, db),
            )
            stack.push_async_callback(google.close)
            providers.append(google)
            inventories.append(google)
        registry = Registry(
            InstrumentedProvider(provider, metrics.provider_called, _reported(settings, db, provider.name).get)
            for provider in providers
        )
        bucket = game_bucket(settings, http)
        library = Library(bucket)
        stack.push_async_callback(library.close)
        geocoder = Geocoder(db, online=settings.geocode_online)
        stack.push_async_callback(geocoder.close)
        orders = NetworkOrders(db, location_finder(settings, http))
        stack.push_async_callback(orders.close)
        weights = Weights(
            settings.placement_weight_rtt_ms,
            settings.placement_weight_usd_per_hour,
            settings.placement_weight_waiting_minute,
        )
        yield Dependencies(
            db=db,
            write_probe=WriteProbe(db),
            engine=LazyWorkflowClient(address),
            engine_address=address,
            registry=registry,
            inventories=inventories,
            placements=Placements(db, registry, geocoder, weights, orders, PlayableTimes(db)),
            library=library,
            bucket=bucket,
            streaming=None if key is None else await _streaming(settings, key, cloudypad, bucket),
            http=http,
            reports=ProviderReports(db, providers),
            balance=tensordock,
            tensordock_account=tensordock.account,
            metrics=metrics,
        )


def _golden_images(settings: Settings, db: Database) -> GoldenImages | None:
    """Return the prepared disk images; None if none are made."""
    if not settings.golden_image_locations:
        return None
    return GoldenImages(db, timedelta(days=4 * settings.golden_image_days))


def _database(settings: Settings, metrics: Metrics) -> Database:
    try:
        return Database(
            secret_text(settings.mongodb_atlas_uri) or "", settings.mongodb_database, failed=metrics.database_failed
        )
    except ValueError:
        raise SettingsError(
            "MONGODB_ATLAS_URI: must be a MongoDB connection string, with user and password percent-encoded. "
            "Example: MONGODB_ATLAS_URI=mongodb+srv://user:password@cluster.example.net"
        ) from None


def _reported(settings: Settings, db: Database, provider: ProviderName) -> ReportedHealth:
    of_tensordock = provider is ProviderName.TENSORDOCK
    simulated = tensordock_is_simulated(settings) if of_tensordock else simulates_google(settings)
    return ReportedHealth(db, provider, simulated=simulated)


async def _streaming(settings: Settings, key: KeyPair, cloudypad: CloudyPadCli, bucket: Bucket) -> StreamingMachines:
    from streaming.machine import StreamingMachines  # noqa: PLC0415  (a gateway never loads asyncssh)
    from streaming.ssh import Ssh  # noqa: PLC0415  (a gateway never needs it)

    return StreamingMachines(
        Ssh(key), cloudypad, bucket, await library_source(settings), control_port=settings.wolf_control_port
    )


async def key_pair(settings: Settings) -> KeyPair:
    """Return the SSH key. In production a configured key must exist: a new one would reach no running machine."""
    from streaming.keys import ensure_key_pair, read_key_pair  # noqa: PLC0415  (a gateway never loads asyncssh)

    path = ssh_key_path(settings)
    named = settings.ssh_key_path is not None and settings.environment is Environment.PRODUCTION
    try:
        return await asyncio.to_thread(read_key_pair if named else ensure_key_pair, path)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"SSH_KEY_PATH: {path} cannot be read or created: {reason}. Example: SSH_KEY_PATH=/secrets/id_ed25519"
        ) from None
    except ProviderRefusedError:
        raise SettingsError(
            f"SSH_KEY_PATH: {path} is not a readable private SSH key. Example: SSH_KEY_PATH=/secrets/id_ed25519"
        ) from None


def engine_address(settings: Settings) -> EngineAddress:
    """Return where Temporal is and how to connect to it."""
    return EngineAddress(
        host=settings.temporal_address or "",
        namespace=settings.temporal_namespace,
        task_queue=settings.temporal_task_queue,
        api_key=secret_text(settings.temporal_api_key),
        tls_cert_path=settings.temporal_tls_cert_path,
        tls_key_path=settings.temporal_tls_key_path,
    )
