"""The composition root: settings in, gateway and worker out.

`python server.py` runs both in one process; `--role gateway` and `--role worker` separate them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette

from auth.authenticator import DEVELOPER, Authenticator
from auth.jwks import RemoteKeys
from auth.keys import ApiKeys, KeyHasher, own_secret
from auth.rate import RequestRate, SocketsPerCaller
from auth.tokens import SharedSecret, TokenKeys, TokenVerifier
from billing.alerts import AlertFeed
from billing.balance import Balance, BalanceBook
from billing.exported import ExportBook
from billing.google_catalog import CloudCatalog
from billing.google_prices import GooglePrices
from billing.limits import SpendingLimits
from billing.meter import Meter
from billing.rollups import Rollups
from billing.webhooks import AlertWebhooks, Webhook
from embedded.child import EmbeddedError
from embedded.services import EmbeddedServices, Running
from embedded.simulator import SimulatorOptions
from embedded.startup import startup_text
from errors import GatewayError, ProviderError, UnavailableError
from fleet.desk import Asking, Fleet
from fleet.feed import VmFeed
from fleet.sweeper import Action, Sweeper
from launch.engine import DeferredEngine, EngineAddress
from launch.feed import ProgressFeed
from launch.launches import Launches
from models.cloudypad_states import CloudyPadStates
from models.database import Database
from models.everything import DOCUMENTS
from placement.geocoding import Geocoder
from placement.network_order import NetworkOrders
from placement.ranking import Placements, Weights
from providers.base import Provider
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad, CloudyPadOptions
from providers.google.billing_export import BillingExport
from providers.google.location_finder import DEFAULT_URL as LOCATION_FINDER_URL
from providers.google.location_finder import LocationFinder
from providers.http import Http
from providers.registry import Registry
from providers.storage.bucket import GOOGLE_URL, Bucket
from providers.storage.tokens import CLOUD_SCOPE, GoogleTokens, NoTokens, Tokens
from providers.tensordock.provider import TensorDock, TensorDockOptions
from resolvers.context import Services
from safety import lets_developer_in, refuse_unsafe
from schema.execution import GraphQLExecution
from schema.limits import Limits
from settings import Environment, Settings, SettingsError, is_loopback, load_settings
from streaming.keys import KeyPair, ensure_key_pair
from streaming.library import Library
from streaming.machine import LibrarySource, StreamingMachines
from streaming.ssh import Ssh
from web.app import create_app
from web.gateway import Gateway, WebLimits
from web.health import Readiness
from web.logs import configure_logs
from web.patience import patient

log = logging.getLogger("server")

T = TypeVar("T")

VERSION: Final = "0.1.0"
_AGAIN_S: Final = 2.0
_LAST_WORDS_S: Final = 10.0
_SWEEP_EVERY: Final = timedelta(minutes=1)


def main() -> int:
    parser = argparse.ArgumentParser(description="The Gamer Provisioner.")
    parser.add_argument("--role", choices=["all", "gateway", "worker"], default="all")
    parser.add_argument(
        "--rebuild-rollups",
        action="store_true",
        help="make the sums of closed days anew from the usage intervals, and end",
    )
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        refuse_unsafe(settings)
        configure_logs(settings.log_level, as_json=settings.environment is Environment.PRODUCTION)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(rebuild_rollups(settings) if arguments.rebuild_rollups else serve(settings, arguments.role))
    except (SettingsError, EmbeddedError) as error:
        print(error, file=sys.stderr)  # noqa: T201  (one line for whoever started it)
        return 2
    return 0


async def serve(settings: Settings, role: str) -> None:
    """Run until SIGINT or SIGTERM."""
    stopping = _stop_signal()
    async with AsyncExitStack() as stack:
        _make_folder(settings.data_dir)
        listener = stack.enter_context(listen(settings)) if role != "worker" else None
        running = await stack.enter_async_context(embedded(settings))
        asked_for, settings = settings, completed(settings, running)
        parts = await stack.enter_async_context(compose(settings))
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(_prepare_database(parts.db)), tasks.create_task(_warm_up(parts))]
            if role != "gateway":
                jobs.append(tasks.create_task(work(settings, parts, stopping)))
            if listener is not None:
                jobs.append(tasks.create_task(_serve_http(settings, application(settings, parts), listener, stopping)))
                if settings.environment is Environment.DEVELOPMENT:
                    _greet(asked_for, settings, listener)
            await stopping.wait()
            _, late = await asyncio.wait(jobs, timeout=_LAST_WORDS_S)
            for job in late:
                job.cancel()


async def rebuild_rollups(settings: Settings) -> None:
    """Once. Reports go on meanwhile; started beside a running service it shares its children."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(settings))
        parts = await stack.enter_async_context(compose(completed(settings, running)))
        await parts.db.ensure_indexes(DOCUMENTS)
        days = await Rollups(parts.db).rebuild(datetime.now(UTC))
        log.info("sums of closed days were made anew", extra={"days": days})


async def sweep_once(*, dry_run: bool) -> list[Action]:
    """One round of the sweeper, composed as the service is. Started beside a running service it shares its children."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(settings))
        parts = await stack.enter_async_context(compose(completed(settings, running)))
        return await _sweeper(parts).sweep(dry_run=dry_run)


def listen(settings: Settings) -> socket.socket:
    """The port is taken before anything is started, so that a taken one is said at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"PORT: cannot listen on {settings.host}:{settings.port}: {reason}. Example: PORT={settings.port + 1}"
        ) from None
    return listener


def embedded(settings: Settings) -> EmbeddedServices:
    """What has to be started because no variable says where it is."""
    return EmbeddedServices(
        settings.data_dir,
        mongodb=settings.mongodb_atlas_uri is None,
        temporal=settings.temporal_address is None,
        simulator=SimulatorOptions(settings.simulator_clock_factor, settings.simulator_seed)
        if _needs_simulator(settings)
        else None,
        temporal_namespace=settings.temporal_namespace,
    )


def completed(settings: Settings, running: Running) -> Settings:
    """The settings with the blanks filled in by what was started. What the environment says stays."""
    given = dict(running.simulator_environment)
    if settings.tensordock_api_token is not None:
        # Who names a cloud wants that one: no simulated Google beside it, and its own CloudyPad if there is one.
        given = _without(given, "TENSORDOCK_", "GCP_", "GOOGLE_")
        given = _without(given, "CLOUDYPAD_") if shutil.which("cloudypad") else given
    if settings.gcs_bucket_name is not None:
        given = _without(given, "GCS_")
    if settings.gcp_project_id is not None:
        given = _without(given, "CLOUDYPAD_", "GCP_", "GOOGLE_")
    blanks: dict[str, Any] = {
        name.lower(): value for name, value in given.items() if name.lower() not in settings.model_fields_set
    }
    if running.mongodb_uri is not None:
        blanks["mongodb_atlas_uri"] = running.mongodb_uri
    if running.temporal_address is not None:
        blanks["temporal_address"] = running.temporal_address
    if settings.cloudypad_command is None and "cloudypad_command" not in blanks:
        blanks["cloudypad_command"] = shutil.which("cloudypad") or "cloudypad"
    whole = load_settings(**{**settings.model_dump(include=settings.model_fields_set), **blanks})
    if whole.gcs_bucket_name is None:
        raise SettingsError(
            "GCS_BUCKET_NAME: machines at a real cloud need a real bucket. Example: GCS_BUCKET_NAME=gamer-library"
        )
    return whole


def _without(given: dict[str, str], *prefixes: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if not name.startswith(prefixes)}


@dataclass(frozen=True, slots=True)
class Parts:
    """What gateway and worker are made of."""

    db: Database
    engine: DeferredEngine
    engine_address: EngineAddress
    registry: Registry
    placements: Placements
    library: Library
    streaming: StreamingMachines
    http: Http
    balance: Balance


@contextlib.asynccontextmanager
async def compose(settings: Settings) -> AsyncIterator[Parts]:
    """Everything that both roles share, opened; and closed again."""
    async with AsyncExitStack() as stack:
        db = Database(_secret(settings.mongodb_atlas_uri) or "", settings.mongodb_database)
        stack.push_async_callback(db.close)
        http = Http()
        stack.push_async_callback(http.close)
        address = _engine_address(settings)
        key = await asyncio.to_thread(
            ensure_key_pair, (settings.ssh_key_path or settings.data_dir / "ssh" / "id_ed25519").absolute()
        )
        tensordock = TensorDock(_tensordock_options(settings, key.public_key), http)
        stack.push_async_callback(tensordock.close)
        cloudypad = _cloudypad_cli(settings, db, key)
        providers: list[Provider] = [tensordock]
        if settings.gcp_project_id is not None:
            tokens = _google_tokens(settings, http)
            google = CloudyPad(_cloudypad_options(settings, key), cloudypad, tokens, GooglePrices(db).current)
            stack.push_async_callback(google.close)
            providers.append(google)
        registry = Registry(providers)
        bucket = _bucket(settings, http)
        library = Library(bucket)
        stack.push_async_callback(library.close)
        geocoder = Geocoder(db, online=settings.geocode_online)
        stack.push_async_callback(geocoder.close)
        orders = NetworkOrders(db, _location_finder(settings, http))
        stack.push_async_callback(orders.close)
        weights = Weights(settings.placement_weight_rtt_ms, settings.placement_weight_usd_per_hour)
        yield Parts(
            db=db,
            engine=DeferredEngine(address),
            engine_address=address,
            registry=registry,
            placements=Placements(db, registry, geocoder, weights, orders),
            library=library,
            streaming=StreamingMachines(Ssh(key), cloudypad, bucket, await _library_source(settings)),
            http=http,
            balance=tensordock,
        )


def application(settings: Settings, parts: Parts) -> Starlette:
    """The gateway as an ASGI application."""
    progress, machines, alerts = ProgressFeed(parts.db), VmFeed(parts.db), AlertFeed(parts.db)
    services = Services(
        version=VERSION,
        db=parts.db,
        registry=parts.registry,
        placements=parts.placements,
        library=parts.library,
        launches=Launches(
            parts.db, parts.engine, parts.registry, parts.placements, parts.library, SpendingLimits(parts.db)
        ),
        progress=progress,
        machines=machines,
        alerts=alerts,
        fleet=Fleet(parts.db, parts.engine),
        api_keys=_api_keys(settings, parts),
    )
    development = settings.environment is Environment.DEVELOPMENT
    keys = _token_keys(settings, parts)
    gateway = Gateway(
        services=services,
        execution=GraphQLExecution(
            limits=_query_limits(settings),
            trusted_only=settings.trusted_documents_only,
            open_introspection=development,
            suggestions=development,
        ),
        authenticator=_authenticator(settings, parts, keys),
        cors_origins=settings.cors_origins,
        limits=WebLimits(
            max_body_bytes=settings.max_body_bytes,
            body_timeout_s=settings.body_timeout_seconds,
            max_batch_size=settings.max_batch_size,
            connection_init_timeout_s=settings.connection_init_timeout_seconds,
            send_timeout_s=settings.slow_reader_seconds,
            max_operations_per_socket=settings.max_operations_per_socket,
            max_messages_per_minute=settings.max_messages_per_minute,
            max_subscription_s=settings.max_subscription_minutes * 60,
            recheck_s=settings.credentials_recheck_seconds,
        ),
        rate=RequestRate(parts.db, settings.rate_limit_per_minute),
        sockets=SocketsPerCaller(settings.max_sockets_per_caller),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await progress.close()
            await machines.close()
            await alerts.close()
            if isinstance(keys, RemoteKeys):
                await keys.close()

    return create_app(
        gateway, _readiness(parts), open_explorer=development, tls_only=not development, lifespan=lifespan
    )


async def work(settings: Settings, parts: Parts, stopping: asyncio.Event) -> None:
    """Be a worker until told to stop. An engine that is away is waited for."""
    from billing.price_refreshing import PriceRefreshing  # noqa: PLC0415
    from billing.schedules import Bookkeeping, ensure_cost_schedules  # noqa: PLC0415
    from fleet.schedules import Sweeping, ensure_schedules  # noqa: PLC0415  (a gateway never loads the worker)
    from fleet.spending_workflows import ensure_spending_schedule  # noqa: PLC0415
    from launch.temporal import TemporalEngine, connect  # noqa: PLC0415
    from launch.worker import build_worker  # noqa: PLC0415

    client = await _persistently(lambda: connect(parts.engine_address), "the engine")
    await _persistently(lambda: ensure_schedules(client, settings.temporal_task_queue, _SWEEP_EVERY), "the engine")
    await _persistently(lambda: ensure_cost_schedules(client, settings.temporal_task_queue), "the engine")
    await _persistently(lambda: ensure_spending_schedule(client, settings.temporal_task_queue), "the engine")
    prices = PriceRefreshing(parts.db, _catalog(settings))
    await _persistently(lambda: prices.ensure_schedule(client, settings.temporal_task_queue), "the engine")
    worker = build_worker(
        client,
        settings.temporal_task_queue,
        *_activities(settings, parts, TemporalEngine(client, settings.temporal_task_queue)),
        Sweeping(_sweeper(parts)),
        prices,
        Bookkeeping(Rollups(parts.db), BalanceBook(parts.db, parts.balance), _export(settings, parts)),
        _spending(settings, parts),
    )
    async with worker:
        await stopping.wait()


def _activities(settings: Settings, parts: Parts, engine: Asking) -> list[object]:
    from fleet.machines import Machines  # noqa: PLC0415
    from fleet.power import Power  # noqa: PLC0415
    from fleet.watch import Watch, WatchTimes  # noqa: PLC0415
    from launch.steps import LaunchSteps  # noqa: PLC0415

    db, registry, streaming, meter = parts.db, parts.registry, parts.streaming, Meter(parts.db)
    launches = Launches(db, parts.engine, registry, parts.placements, parts.library, SpendingLimits(db))
    return [
        LaunchSteps(db, parts.placements, streaming, parts.library, engine),
        Machines(db, registry, meter, streaming.forget, settle_s=settings.tensordock_settle_seconds),
        Power(db, registry, streaming, meter, launches),
        Watch(db, registry, streaming, WatchTimes()),
    ]


def _spending(settings: Settings, parts: Parts) -> object:
    from fleet.spending import Spending  # noqa: PLC0415

    webhook = None
    if settings.alert_webhook_url is not None and settings.alert_webhook_secret is not None:
        webhook = Webhook(str(settings.alert_webhook_url), settings.alert_webhook_secret)
    webhooks = AlertWebhooks(parts.db, parts.http, webhook)
    grace = timedelta(seconds=settings.spending_stop_grace_seconds)
    return Spending(parts.db, Fleet(parts.db, parts.engine), webhooks, grace=grace)


def _export(settings: Settings, parts: Parts) -> ExportBook | None:
    """None: Google's word on what it charged is not asked for."""
    table, project = settings.gcp_billing_export_table, settings.gcp_project_id
    if table is None or project is None:
        return None
    tokens = _google_tokens(settings, parts.http)
    url = str(settings.gcp_bigquery_url)
    return ExportBook(parts.db, BillingExport(parts.http, tokens, project, table, url=url))


def _sweeper(parts: Parts) -> Sweeper:
    return Sweeper(parts.db, parts.registry, Meter(parts.db))


async def _persistently(attempt: Callable[[], Awaitable[T]], what: str) -> T:
    """Until it works: what is away comes back."""
    told = False
    while True:
        try:
            return await attempt()
        except UnavailableError:
            if not told:
                log.warning("waiting for what is away", extra={"what": what})
            told = True
            await asyncio.sleep(_AGAIN_S)


async def _prepare_database(db: Database) -> None:
    await _persistently(lambda: db.ensure_indexes(DOCUMENTS), "the database")


async def _warm_up(parts: Parts) -> None:
    """What the first request would otherwise wait for: the engine's client, the gazetteer, the stock."""
    with contextlib.suppress(GatewayError):
        await parts.engine.ping()
    for provider in parts.registry.all():
        with contextlib.suppress(GatewayError):
            await parts.placements.sites(provider.name)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"DATA_DIR: cannot make {folder}: {reason}. Example: DATA_DIR=/var/lib/gamer") from None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield  # signals are this module's: gateway and worker stop together


async def _serve_http(settings: Settings, app: Starlette, listener: socket.socket, stopping: asyncio.Event) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            http=patient(settings.header_timeout_seconds),
            ws="websockets-sansio",
            ws_max_size=settings.max_body_bytes,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=3,
            server_header=False,
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    await asyncio.wait([serving, asyncio.ensure_future(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    stopping.set()


def _stop_signal() -> asyncio.Event:
    stopping = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
    return stopping


def _needs_simulator(settings: Settings) -> bool:
    if settings.environment is Environment.PRODUCTION:
        return False
    if settings.tensordock_api_token is None:
        return True
    lacking = settings.gcs_bucket_name is None or (
        settings.cloudypad_command is None and shutil.which("cloudypad") is None
    )
    return lacking and is_loopback(settings.tensordock_api_url.host or "")


def _engine_address(settings: Settings) -> EngineAddress:
    return EngineAddress(
        host=settings.temporal_address or "",
        namespace=settings.temporal_namespace,
        task_queue=settings.temporal_task_queue,
        api_key=_secret(settings.temporal_api_key),
        tls_cert_path=settings.temporal_tls_cert_path,
        tls_key_path=settings.temporal_tls_key_path,
    )


def _tensordock_options(settings: Settings, ssh_public_key: str) -> TensorDockOptions:
    return TensorDockOptions(
        url=str(settings.tensordock_api_url),
        token=_secret(settings.tensordock_api_token) or "",
        key=_secret(settings.tensordock_api_key),
        ssh_public_key=ssh_public_key,
        requests_per_second=settings.tensordock_requests_per_second,
        settle_s=settings.tensordock_settle_seconds,
        simulated=is_loopback(settings.tensordock_api_url.host or ""),
    )


def _cloudypad_cli(settings: Settings, db: Database, key: KeyPair) -> CloudyPadCli:
    """With the credentials of the settings, which need not stand in the environment."""
    credentials = settings.google_application_credentials
    own = {} if credentials is None else {"GOOGLE_APPLICATION_CREDENTIALS": str(credentials.absolute())}
    return CloudyPadCli(
        settings.cloudypad_command or "cloudypad",
        settings.cloudypad_config_path or settings.data_dir / "cloudypad",
        store=CloudyPadStates(db),
        key_path=key.path,
        inherited={**os.environ, **own},
    )


def _cloudypad_options(settings: Settings, key: KeyPair) -> CloudyPadOptions:
    return CloudyPadOptions(
        project_id=settings.gcp_project_id or "",
        key_path=key.path,
        spot=settings.gcp_spot,
        autostop_s=60 * settings.cloudypad_autostop_minutes,
        simulated=_simulates_google(settings),
    )


def _simulates_google(settings: Settings) -> bool:
    return is_loopback(settings.gcs_endpoint_url.host or "")


def _google_tokens(settings: Settings, http: Http) -> Tokens:
    if _simulates_google(settings):
        return NoTokens()
    return GoogleTokens(http, settings.google_application_credentials, scope=CLOUD_SCOPE)


def _location_finder(settings: Settings, http: Http) -> LocationFinder | None:
    """None: distance alone orders Google's regions. No simulated project is shown to Google."""
    url, project = settings.google_location_finder_url, settings.gcp_project_id
    if project is None or (url is None and _simulates_google(settings)):
        return None
    return LocationFinder(http, _google_tokens(settings, http), project, url=str(url or LOCATION_FINDER_URL))


def _catalog(settings: Settings) -> CloudCatalog | None:
    """None: the shipped prices stay."""
    url = settings.google_catalog_url
    if settings.gcp_project_id is None or (url is None and _simulates_google(settings)):
        return None
    return CloudCatalog(None if url is None else str(url))


def _bucket(settings: Settings, http: Http) -> Bucket:
    endpoint = str(settings.gcs_endpoint_url)
    real = endpoint.rstrip("/") == GOOGLE_URL
    tokens = GoogleTokens(http, settings.google_application_credentials) if real else NoTokens()
    return Bucket(http, settings.gcs_bucket_name or "", tokens, endpoint_url=endpoint)


async def _library_source(settings: Settings) -> LibrarySource:
    key_file = settings.gcs_library_key_file
    key = None if key_file is None else await asyncio.to_thread(_read, key_file)
    return LibrarySource(settings.gcs_bucket_name or "", str(settings.gcs_endpoint_url).rstrip("/"), key)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        json.loads(content)
    except (OSError, ValueError):
        raise SettingsError(
            f"GCS_LIBRARY_KEY_FILE: {path} is not a readable key file. "
            "Example: GCS_LIBRARY_KEY_FILE=/secrets/library.json"
        ) from None
    return content


def _token_keys(settings: Settings, parts: Parts) -> SharedSecret | RemoteKeys | None:
    if settings.jwt_secret is not None:
        return SharedSecret(settings.jwt_secret)
    return None if settings.jwt_jwks_url is None else RemoteKeys(str(settings.jwt_jwks_url), parts.http)


def _authenticator(settings: Settings, parts: Parts, keys: TokenKeys | None) -> Authenticator:
    tokens = None if keys is None else TokenVerifier(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    return Authenticator(tokens, _api_keys(settings, parts), developer=lets_developer_in(settings))


def _api_keys(settings: Settings, parts: Parts) -> ApiKeys:
    hashed_with = settings.api_key_secret or own_secret(settings.data_dir / "api-key-secret")
    return ApiKeys(parts.db, KeyHasher(hashed_with, settings.api_key_secret_previous))


def _query_limits(settings: Settings) -> Limits:
    return Limits(
        max_tokens=settings.max_query_tokens,
        max_depth=settings.max_query_depth,
        max_introspection_depth=settings.max_query_introspection_depth,
        max_aliases=settings.max_query_aliases,
        max_directives=settings.max_query_directives,
        max_fragments=settings.max_query_fragments,
        max_root_fields=settings.max_query_root_fields,
        max_page_size=settings.max_page_size,
        max_cost=settings.max_query_cost,
    )


def _readiness(parts: Parts) -> Readiness:
    async def providers() -> None:
        for provider in parts.registry.all():
            health = await provider.health()
            if not health.healthy:
                raise ProviderError(f"{provider.name}: {health.detail}")

    return Readiness(needed={"database": parts.db.ping, "engine": parts.engine.ping}, helpful={"providers": providers})


def _greet(asked_for: Settings, settings: Settings, listener: socket.socket) -> None:
    """`asked_for` are the settings before the blanks were filled in."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    simulated = {
        "TensorDock": is_loopback(settings.tensordock_api_url.host or ""),
        "CloudyPad": asked_for.cloudypad_command is None and _needs_simulator(asked_for),
        "the game bucket": is_loopback(settings.gcs_endpoint_url.host or ""),
    }
    children = {
        "the database": asked_for.mongodb_atlas_uri is None,
        "the engine": asked_for.temporal_address is None,
        "the simulator": _needs_simulator(asked_for),
    }
    text = startup_text(
        f"http://{host}:{listener.getsockname()[1]}",
        everyone_is=DEVELOPER.id if lets_developer_in(settings) else None,
        simulated=[name for name, so in simulated.items() if so],
        embedded=[name for name, so in children.items() if so],
    )
    print(text, flush=True)  # noqa: T201  (for whoever started it in a terminal)


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


if __name__ == "__main__":
    sys.exit(main())
