"""A gateway over a database of the test's own: everything is real but the clouds, the bucket and the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette

from auth.api_keys import ApiKeys, KeyHasher
from auth.authenticator import Authenticator
from auth.callers import Caller, Role
from auth.rate_limits import RequestRate
from auth.tokens import SharedSecret, TokenVerifier
from billing.alerts import AlertFeed
from billing.limits import SpendingLimits
from billing.operator_alerts import OperatorAlertFeed
from composition.http_server import Server, listen
from errors import InvalidStateError, ProviderError, UnavailableError
from fleet.messages import Command, CommandRequest, CommandResult, PairingInput, PairResult, Pin
from fleet.pairing_service import PairingService
from fleet.service import MachineService
from fleet.vm_feed import VmFeed
from launch.image_service import ImageService
from launch.launch_feed import LaunchFeed
from launch.messages import ImageRefresh, LaunchInput
from launch.playable_time import PlayableTimes
from launch.progress_feed import ProgressFeed
from launch.service import LaunchService
from models.catalog import ConsoleType, PresetName
from models.database import Database
from models.launches import Launch, LaunchEvent, LaunchStatus, LaunchStepName, Step
from models.scheduled_launches import ScheduledLaunch
from models.vms import Vm, VmPlace, VmStatus
from placement.geocoding import Geocoder
from placement.ranking import Placements
from providers.base import Place, ProviderName
from providers.http import Http
from providers.registry import Registry
from providers.storage.bucket import Bucket
from providers.storage.signing import IamSigner, UrlSigner
from providers.storage.tokens import NoTokens
from resolvers.context import Context, PlayerSaves, Services
from schema.execution.executor import GraphQLExecution
from schema.execution.requests import GraphQLRequest, OperationKind
from streaming.library import Game, SkippedFiles
from streaming.saves.catalog import SaveCatalog
from streaming.saves.changes import SaveChanges
from tests.fakes.cloud import FakeCloud, site
from web.gateway import Gateway
from web.http_protocol import HardenedHttpProtocol
from web.websocket_protocol import HardenedWebSocketProtocol

OPERATIONS: Final = Path("graphql/operations")
ANN: Final = Caller("ann", Role.PLAYER)
BOB: Final = Caller("bob", Role.PLAYER)
OPERATOR: Final = Caller("olga", Role.OPERATOR)
SERVICE: Final = Caller("webshop", Role.SERVICE)
NOON: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOKEN_SECRET: Final = "a secret for the tokens of these tests"
NOWHERE: Final = "http://127.0.0.1:9"  # where nobody listens
DALLAS: Final = {"latitude": 32.7767, "longitude": -96.7970}


class StubEngine:
    """Keeps launch.workflow_client.WorkflowClient and starts nothing."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.asked: list[tuple[str, Command]] = []
        self.answer: CommandResult | None = None
        self.pins: list[Pin] = []
        self.paired = PairResult(None, "paired", VmStatus.RUNNING)
        self.away = False
        self.pairings: list[PairingInput] = []
        self.refreshed: list[str | None] = []

    async def start_launch(self, ticket: LaunchInput) -> None:
        self._answer()
        self.started.append(ticket.launch_id)

    async def cancel_launch(self, launch_id: str) -> None:
        self._answer()
        self.cancelled.append(launch_id)

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        self._answer()
        self.asked.append((vm_id, asked.command))
        if self.answer is None:
            raise InvalidStateError("this machine has no workflow", "RUNNING")
        return self.answer

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        self._answer()
        self.pins.append(pin)
        return self.paired

    async def start_pairing(self, pairing: PairingInput) -> None:
        self._answer()
        self.pairings.append(pairing)

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        self._answer()
        self.refreshed.append(refresh.image)

    async def ping(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.away:
            raise UnavailableError("Temporal does not respond")


class ShelfOfGames:
    """Keeps resolvers.context.GameLibrary."""

    def __init__(self) -> None:
        self.failure: ProviderError | None = None
        self.shelf = [
            Game(ConsoleType.SWITCH, "mario-odyssey", "Mario Odyssey", "switch/mario-odyssey.nsp"),
            Game(ConsoleType.SNES, "zelda", "Zelda", "snes/zelda.sfc"),
            Game(ConsoleType.SNES, "metroid", "Metroid", "snes/metroid.sfc"),
        ]

    async def skipped_files(self, console: ConsoleType | None = None) -> list[SkippedFiles]:
        return [SkippedFiles(ConsoleType.GB, "its extension is not one of the console's", 2, ("gb/a.txt", "gb/b.exe"))]

    async def games(self, console: ConsoleType | None = None) -> list[Game]:
        if self.failure is not None:
            raise self.failure
        return [game for game in self.shelf if console in (None, game.console)]

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        return next((game for game in await self.games(console) if game.game_id == game_id), None)


@dataclass
class GatewayWorld:
    """The parts behind a gateway, and ways to ask them."""

    services: Services
    execution: GraphQLExecution
    cloud: FakeCloud
    engine: StubEngine
    library: ShelfOfGames
    progress: ProgressFeed
    machines: VmFeed

    @property
    def db(self) -> Database:
        return self.services.db

    async def ask(self, document: str, caller: Caller = ANN, /, **variables: Any) -> dict[str, Any]:
        """A file of graphql/operations/ by its name, or a document, executed as one request."""
        context = Context(caller, self.services, "request-1")
        prepared = self.execution.prepare(GraphQLRequest(text_of(document), None, variables), context)
        assert prepared.kind is not OperationKind.SUBSCRIPTION
        return await self.execution.execute(prepared, context)

    async def follow(
        self, document: str, caller: Caller = ANN, /, **variables: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        context = Context(caller, self.services, "request-1")
        prepared = self.execution.prepare(GraphQLRequest(text_of(document), None, variables), context)
        return await self.execution.subscribe(prepared, context)

    async def data(self, document: str, caller: Caller = ANN, /, **variables: Any) -> dict[str, Any]:
        answer = await self.ask(document, caller, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def error(self, document: str, caller: Caller = ANN, /, **variables: Any) -> dict[str, Any]:
        """The only error of an answer."""
        (error,) = (await self.ask(document, caller, **variables))["errors"]
        found: dict[str, Any] = error
        return found


@asynccontextmanager
async def gateway_world(
    db: Database, *, engine: StubEngine | None = None, google_url: str = NOWHERE
) -> AsyncIterator[GatewayWorld]:
    """`google_url`: a simulated Google with the bucket `games`; without one, saves cannot be reached."""
    cloud = FakeCloud(
        sites=[
            site("dallas", Place("Dallas", "Texas", "United States"), "0.45"),
            site("chicago", Place("Chicago", "Illinois", "United States"), "0.40"),
            site("tallinn", Place("Tallinn", "Harjumaa", "Estonia"), "0.30", gpus=0),
        ]
    )
    http = Http(timeout_s=5)
    engine, library, registry, geocoder = engine or StubEngine(), ShelfOfGames(), Registry([cloud]), Geocoder(db)
    placements = Placements(db, registry, geocoder)
    progress, machines, alerts = ProgressFeed(db), VmFeed(db), AlertFeed(db)
    operator_alerts, launch_feed = OperatorAlertFeed(db), LaunchFeed(db)
    services = Services(
        version="1.2.3",
        db=db,
        registry=registry,
        placements=placements,
        library=library,
        launches=LaunchService(db, engine, registry, placements, library, SpendingLimits(db)),
        progress=progress,
        launch_feed=launch_feed,
        machines=machines,
        alerts=alerts,
        operator_alerts=operator_alerts,
        fleet=MachineService(db, engine),
        api_keys=ApiKeys(db, KeyHasher(SecretStr("a secret for the API keys of these tests"))),
        saves=player_saves(http, google_url),
        images=ImageService(db, engine),
        pairings=PairingService(db, engine),
        playable=PlayableTimes(db),
    )
    try:
        yield GatewayWorld(services, GraphQLExecution(), cloud, engine, library, progress, machines)
    finally:
        await progress.close()
        await launch_feed.close()
        await machines.close()
        await alerts.close()
        await operator_alerts.close()
        await geocoder.close()
        await http.close()


def player_saves(http: Http, google_url: str) -> PlayerSaves:
    bucket = Bucket(http, "games", NoTokens(), endpoint_url=google_url)
    catalog = SaveCatalog(bucket)
    signer = IamSigner(http, NoTokens(), url=google_url, metadata_url=google_url)
    return PlayerSaves(
        catalog, SaveChanges(bucket, catalog), UrlSigner(signer, "games", google_url), timedelta(days=30)
    )


@pytest.fixture
async def gateway(db: Database) -> AsyncIterator[GatewayWorld]:
    async with gateway_world(db) as made:
        yield made


@asynccontextmanager
async def listening(
    app: Starlette,
    http: type[HardenedHttpProtocol] = HardenedHttpProtocol,
    ws: type[HardenedWebSocketProtocol] = HardenedWebSocketProtocol,
    **options: Any,
) -> AsyncIterator[str]:
    """The host and port of the application, served by the server of production, for as long as the body runs."""
    config = uvicorn.Config(
        app,
        http=http,
        log_level="error",
        lifespan="off",
        ws=ws,
        ws_max_size=128 * 1024,
        ws_per_message_deflate=False,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **options,
    )
    server = Server(config)
    with listen("127.0.0.1", 0, "PORT") as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            await asyncio.sleep(0)
            for accepted_last in list(server.server_state.connections):
                accepted_last.transport.abort()


def web_gateway(world: GatewayWorld, **changes: Any) -> Gateway:
    """Its door takes tokens made by `token`, and nothing else."""
    door = Authenticator(TokenVerifier(SharedSecret(SecretStr(TOKEN_SECRET))), None)
    return Gateway(**{"services": world.services, "execution": world.execution, "authenticator": door, **changes})


def request_rate(world: GatewayWorld, per_minute: int) -> RequestRate:
    """Requests of a minute that does not end while a test runs."""
    now = time.time()
    return RequestRate(world.db, per_minute, now=lambda: now)


def token(caller: Caller, lasting_s: float = 60) -> str:
    expires = datetime.now(UTC) + timedelta(seconds=lasting_s)
    claims = {"sub": caller.id, "role": caller.role.lower(), "exp": expires.timestamp()}
    return jwt.encode(claims, TOKEN_SECRET, "HS256")


def text_of(document: str) -> str:
    file = OPERATIONS / f"{document}.graphql"
    return file.read_text(encoding="utf-8") if document.isalnum() else document


def a_launch(launch_id: str, user_id: str = "ann", **changes: Any) -> Launch:
    values: dict[str, Any] = {
        "id": launch_id,
        "caller_id": user_id,
        "idempotency_key": launch_id,
        "user_id": user_id,
        "console": ConsoleType.SWITCH,
        "game_id": "mario-odyssey",
        "idle_stop_minutes": 30,
        "max_session_hours": 8,
        "steps": [Step(name=name) for name in LaunchStepName],
        "requested_at": NOON,
    }
    return Launch(**{**values, **changes})


def a_plan(plan_id: str, user_id: str = "ann") -> ScheduledLaunch:
    return ScheduledLaunch(
        id=plan_id,
        caller_id=user_id,
        idempotency_key=f"launch:{plan_id}",
        user_id=user_id,
        at=datetime.now(UTC) + timedelta(days=1),
        console=ConsoleType.SWITCH,
        game_id="mario-odyssey",
        launch_id="900000000000000001",
        planned_at=NOON,
    )


def a_vm(vm_id: str, user_id: str = "ann", **changes: Any) -> Vm:
    values: dict[str, Any] = {
        "id": vm_id,
        "tag": f"gamer-{vm_id}",
        "provider": ProviderName.TENSORDOCK,
        "provider_id": "m1",
        "status": VmStatus.RUNNING,
        "user_id": user_id,
        "launch_id": "100000000000000001",
        "console": ConsoleType.SWITCH,
        "game_id": "mario-odyssey",
        "preset": PresetName.PREMIUM,
        "vcpus": 8,
        "ram_gb": 16,
        "storage_gb": 200,
        "place": VmPlace(
            site_id="dallas",
            city="Dallas",
            region="Texas",
            country="United States",
            country_code="US",
            latitude=32.78,
            longitude=-96.8,
        ),
        "ip_address": "127.0.0.7",
        "ports": {"47989": 20001},
        "usd_per_hour": Decimal("0.45"),
        "idle_stop_minutes": 30,
        "max_session_hours": 8,
        "created_at": NOON,
        "started_at": NOON,
    }
    return Vm(**{**values, **changes})


def an_event(launch_id: str, sequence: int, status: LaunchStatus = LaunchStatus.RUNNING) -> LaunchEvent:
    return LaunchEvent(
        id=f"{launch_id}:{sequence}",
        launch_id=launch_id,
        sequence=sequence,
        at=NOON,
        status=status,
        progress=sequence / 100,
        message=f"event {sequence}",
    )
