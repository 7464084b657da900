"""Builds the gateway: the ASGI application with its authentication and limits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from auth.api_keys import ApiKeys, KeyHasher, load_or_create_secret
from auth.authenticator import Authenticator
from auth.jwks import RemoteKeys
from auth.rate_limits import RequestRate, SocketsPerCaller
from auth.role_claims import OUR_NAMES, RoleClaim
from auth.tokens import SharedSecret, TokenKeys, TokenVerifier
from billing.alerts import AlertFeed
from billing.limits import SpendingLimits
from billing.operator_alerts import OperatorAlertFeed
from composition.dependencies import VERSION, Dependencies
from composition.metrics import gateway_metrics_page
from composition.providers import save_urls
from errors import ProviderError
from fleet.pairing_service import PairingService
from fleet.service import MachineService
from fleet.vm_feed import VmFeed
from launch.image_service import ImageService
from launch.launch_feed import LaunchFeed
from launch.launch_times import launch_times
from launch.playable_time import PlayableTimes
from launch.progress_feed import ProgressFeed
from launch.service import LaunchService
from models.database import Database
from placement.measured_rtt import RttProbe
from placement.ranking import Placements
from providers.base import SiteId
from resolvers.context import PlayerSaves, Services
from safety import lets_developer_in
from schema.execution.executor import GraphQLExecution
from schema.execution.limits import Limits
from settings import Environment, Settings
from streaming.covers import Covers
from streaming.library import Library, PromptLibrary
from streaming.saves.catalog import SaveCatalog
from streaming.saves.changes import SaveChanges
from web.app import create_app
from web.gateway import Gateway, WebLimits
from web.header_limits import HeadLimits
from web.health import Readiness, database_check
from web.launch_times_page import LaunchTimesPage, this_quarter
from web.proxies import TrustedProxies

_CLOUD_PATIENCE_S: Final = 2.0  # how long an answer waits for a cloud or the bucket before the last known data is used


@dataclass(frozen=True, slots=True)
class _Feeds:
    """What subscriptions follow."""

    progress: ProgressFeed
    launches: LaunchFeed
    machines: VmFeed
    alerts: AlertFeed
    operator_alerts: OperatorAlertFeed

    @classmethod
    def of(cls, db: Database) -> _Feeds:
        return cls(ProgressFeed(db), LaunchFeed(db), VmFeed(db), AlertFeed(db), OperatorAlertFeed(db))

    async def close(self) -> None:
        for feed in (self.progress, self.launches, self.machines, self.alerts, self.operator_alerts):
            await feed.close()


def application(settings: Settings, parts: Dependencies) -> Starlette:
    """Build the gateway as an ASGI application."""
    feeds = _Feeds.of(parts.db)
    development = settings.environment is Environment.DEVELOPMENT
    keys = _token_keys(settings, parts)
    placements = parts.placements.with_patience(_CLOUD_PATIENCE_S)
    library = PromptLibrary(parts.library, patience_s=_CLOUD_PATIENCE_S)
    covers = Covers(parts.bucket)
    gateway = Gateway(
        services=_services(settings, parts, placements, library, covers, feeds),
        execution=GraphQLExecution(
            limits=_query_limits(settings),
            trusted_only=settings.trusted_documents_only,
            open_introspection=development,
            suggestions=development,
            listener=parts.metrics,
        ),
        authenticator=_authenticator(settings, parts, keys),
        cors_origins=settings.cors_origins,
        allows_loopback_origins=development,
        proxies=TrustedProxies(settings.trusted_proxies, settings.trusted_proxy_hops),
        limits=_web_limits(settings),
        rate=RequestRate(parts.db, settings.rate_limit_per_minute),
        sockets=SocketsPerCaller(settings.max_sockets_per_caller),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await feeds.close()
            await placements.close()
            await library.close()
            await covers.close()
            if isinstance(keys, RemoteKeys):
                await keys.close()

    return create_app(
        gateway,
        _readiness(parts),
        open_explorer=development,
        tls_only=not development,
        metrics=gateway_metrics_page(settings, parts, gateway),
        routes=_public_routes(settings, parts),
        lifespan=lifespan,
    )


def _public_routes(settings: Settings, parts: Dependencies) -> list[BaseRoute]:
    """Return the routes that are public by an operator's choice."""
    if not settings.public_launch_times:
        return []
    return LaunchTimesPage(lambda: launch_times(parts.db, this_quarter())).routes()


def _services(
    settings: Settings,
    parts: Dependencies,
    placements: Placements,
    library: Library,
    covers: Covers,
    feeds: _Feeds,
) -> Services:
    return Services(
        version=VERSION,
        db=parts.db,
        registry=parts.registry,
        placements=placements,
        library=library,
        launches=LaunchService(
            parts.db,
            parts.engine,
            parts.registry,
            placements,
            library,
            SpendingLimits(parts.db),
            refuse_unplayable=settings.refuse_unplayable,
        ),
        progress=feeds.progress,
        launch_feed=feeds.launches,
        machines=feeds.machines,
        alerts=feeds.alerts,
        operator_alerts=feeds.operator_alerts,
        fleet=MachineService(parts.db, parts.engine, parts.engine, deployment=settings.deployment),
        api_keys=_api_keys(settings, parts),
        saves=_saves(settings, parts),
        images=ImageService(parts.db, parts.engine),
        pairings=PairingService(parts.db, parts.engine),
        playable=PlayableTimes(parts.db),
        covers=covers,
        rtt_probes=[RttProbe((provider, SiteId(site)), str(url)) for provider, site, url in settings.rtt_probe_urls],
    )


def _saves(settings: Settings, parts: Dependencies) -> PlayerSaves:
    catalog = SaveCatalog(parts.bucket)
    return PlayerSaves(
        catalog=catalog,
        changes=SaveChanges(parts.bucket, catalog),
        urls=save_urls(settings, parts.http),
        undelete_for=timedelta(days=settings.saves_undelete_days),
    )


def _token_keys(settings: Settings, parts: Dependencies) -> SharedSecret | RemoteKeys | None:
    if settings.jwt_secret is not None:
        return SharedSecret(settings.jwt_secret)
    return None if settings.jwt_jwks_url is None else RemoteKeys(str(settings.jwt_jwks_url), parts.http)


def _authenticator(settings: Settings, parts: Dependencies, keys: TokenKeys | None) -> Authenticator:
    tokens = None
    if keys is not None:
        tokens = TokenVerifier(
            keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience, role=_role_claim(settings)
        )
    return Authenticator(tokens, _api_keys(settings, parts), developer=lets_developer_in(settings))


def _role_claim(settings: Settings) -> RoleClaim:
    names = {theirs: OUR_NAMES[ours] for theirs, ours in settings.jwt_roles} or OUR_NAMES
    if settings.jwt_role_claim is None:
        return RoleClaim(names=names)
    return RoleClaim(settings.jwt_role_claim, names, lists=True)


def _api_keys(settings: Settings, parts: Dependencies) -> ApiKeys:
    hashed_with = settings.api_key_secret or load_or_create_secret(settings.data_dir / "api-key-secret")
    return ApiKeys(parts.db, KeyHasher(hashed_with, settings.api_key_secret_previous))


def _web_limits(settings: Settings) -> WebLimits:
    return WebLimits(
        heads=HeadLimits(settings.max_head_bytes, settings.max_headers),
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_seconds,
        max_batch_size=settings.max_batch_size,
        draft_statuses=settings.graphql_draft_statuses,
        connection_init_timeout_s=settings.connection_init_timeout_seconds,
        send_timeout_s=settings.slow_reader_seconds,
        max_operations_per_socket=settings.max_operations_per_socket,
        max_messages_per_minute=settings.max_messages_per_minute,
        max_subscription_s=settings.max_subscription_minutes * 60,
        recheck_s=settings.credentials_recheck_seconds,
    )


def _query_limits(settings: Settings) -> Limits:
    return Limits(
        max_tokens=settings.max_query_tokens,
        max_depth=settings.max_query_depth,
        max_introspection_depth=settings.max_query_introspection_depth,
        max_aliases=settings.max_query_aliases,
        max_directives=settings.max_query_directives,
        max_fragments=settings.max_query_fragments,
        max_root_fields=settings.max_query_root_fields,
        max_repeated_fields=settings.max_query_repeated_fields,
        max_page_size=settings.max_page_size,
        max_cost=settings.max_query_cost,
    )


def _readiness(parts: Dependencies) -> Readiness:
    async def providers() -> None:
        for provider in parts.registry.all():
            health = await provider.health()
            if not health.healthy:
                raise ProviderError(f"{provider.name}: {health.detail}")

    return Readiness(
        needed={"database": database_check(parts.write_probe), "engine": parts.engine.ping},
        helpful={"providers": providers},
    )
