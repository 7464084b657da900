"""The simulated outside world as a whole."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from simulator.bucket import library
from simulator.bucket.api import BucketApi
from simulator.bucket.store import ObjectStore
from simulator.bucket_faults import bucket_fault_middleware
from simulator.clock import DEFAULT_FACTOR, Clock
from simulator.cloudypad import launcher
from simulator.cloudypad.setup_routes import SetupRoutes
from simulator.control import BASE as CONTROL
from simulator.control import Control
from simulator.delays import SHORT, Delays
from simulator.google.catalog import BillingCatalog
from simulator.google.compute import GoogleMachines
from simulator.google.compute_api import ComputeApi
from simulator.google.images import Images
from simulator.google.instance_metadata import InstanceMetadataApi
from simulator.google.interruptions import Interruptions, metadata_by_address
from simulator.google.location_finder import LocationFinderApi
from simulator.google.metadata import MetadataApi
from simulator.google.routes import GoogleRoutes
from simulator.google.service_account import IamCredentialsApi, ServiceAccount, email_of
from simulator.machines.pool import MachinePark
from simulator.park import Park
from simulator.player_routes import PlayerRoutes
from simulator.probes import Probes
from simulator.registry.api import RegistryApi
from simulator.state import DamagedStateError, StateFile
from simulator.tensordock.service import Customer, TensorDock

API_KEY: Final = "5e0f3c1a-0000-4000-8000-000000000001"
API_TOKEN: Final = "simulated-tensordock-token"  # noqa: S105 - opens nothing but this simulator
PROJECT: Final = "simulated-project"
BUCKET: Final = "simulated-games"
LAST_WORDS_S: Final = 0.5


class SimulationError(Exception):
    """The simulation cannot start; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """`port` 0 takes a free one. `privileged_ports` says whether machines may use port 22; None finds out."""

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    clock_factor: float = DEFAULT_FACTOR
    delays: Delays = SHORT
    seed: int = 1
    privileged_ports: bool | None = None
    balance_usd: Decimal = Decimal(100)


class Simulation:
    """The world, which runs between `async with` and its end. `state_dir` keeps its state for the next run."""

    def __init__(self, options: SimulationOptions, *, park: Park | None = None) -> None:
        self.options = options
        self.clock = Clock(options.clock_factor, options.delays)
        self.park = park or MachinePark(options.state_dir, self.clock, privileged_ports=options.privileged_ports)
        customer = Customer(API_KEY, API_TOKEN, options.balance_usd)
        self.tensordock = TensorDock(options.state_dir, self.park, self.clock, customer, seed=options.seed)
        self._google: GoogleRoutes | None = None
        self._instance_metadata: InstanceMetadataApi | None = None
        self._images: Images | None = None
        self._catalog = BillingCatalog(options.host, StateFile(options.state_dir / "google" / "catalog.json"))
        self._running = AsyncExitStack()
        self._port = options.port

    @property
    def url(self) -> str:
        return f"http://{self.options.host}:{self._port}"

    @property
    def control_url(self) -> str:
        return self.url + CONTROL

    def environment(self) -> dict[str, str]:
        """Return the variables that point a gateway at this world."""
        return {
            "TENSORDOCK_API_URL": f"{self.url}/api",
            "TENSORDOCK_API_KEY": API_KEY,
            "TENSORDOCK_API_TOKEN": API_TOKEN,
            "CLOUDYPAD_COMMAND": str(self._launcher_folder / launcher.FILE),
            "GCP_PROJECT_ID": PROJECT,
            "IMAGE_REGISTRY_URL": self.url,
            "GCS_BUCKET_NAME": BUCKET,
            "GCS_ENDPOINT_URL": self.url,
            "GCS_SIGNING_URL": self.url,
            "GCS_SIGNING_ACCOUNT": email_of(PROJECT),
            "GOOGLE_LOCATION_FINDER_URL": self.url,
            "GOOGLE_CATALOG_URL": self._catalog.url,
            "GOOGLE_COMPUTE_URL": self.url,
        }

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._running.aclose()

    async def _start(self) -> None:
        self._lock_state()
        # Bound first, so that a taken port is known before anything is switched on; served last.
        listener = self._bind()
        launcher.install(
            self._launcher_folder,
            machines=self.options.state_dir / "machines",
            control_url=self.control_url,
            clock_factor=self.clock.factor,
        )
        self._running.push_async_callback(self.park.close)
        await self.park.restore()
        if isinstance(self.park, MachinePark):
            await self._start_google(self.park)
        self._running.push_async_callback(self._catalog.close)
        try:
            await self._catalog.start()
            await self.tensordock.start()
        except DamagedStateError as error:
            raise SimulationError(str(error)) from error
        self._running.push_async_callback(self.tensordock.close)
        await self._serve(listener)

    async def _start_google(self, park: MachinePark) -> None:
        machines = GoogleMachines(park, self.clock, self.options.state_dir / "google")
        interruptions = Interruptions(machines, park, self.clock)
        self._running.push_async_callback(interruptions.close)
        self._google = GoogleRoutes(machines, park, interruptions)
        self._instance_metadata = InstanceMetadataApi(metadata_by_address(machines, park))
        images = Images(machines, park, self.clock, self.options.state_dir / "google" / "images")
        self._running.push_async_callback(images.close)
        images.restore()
        self._images = images
        await machines.restore()

        def switched_off_inside(machine_id: str) -> None:
            machines.switched_off_inside(machine_id)
            self.tensordock.cloud.switched_off_inside(machine_id)

        park.on_power_off = switched_off_inside

    def _bind(self) -> socket.socket:
        try:
            listener = socket.create_server((self.options.host, self.options.port))
        except OSError as error:
            where = f"{self.options.host}:{self.options.port}"
            raise SimulationError(f"cannot listen on {where}: {os.strerror(error.errno or 0)}") from error
        self._running.enter_context(listener)
        self._port = listener.getsockname()[1]
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        app = web.Application(middlewares=[bucket_fault_middleware(self.tensordock.gate)])
        self.tensordock.add_routes(app.router)
        Control(self.tensordock, self.clock).add_routes(app.router)
        account = ServiceAccount(PROJECT, self.options.state_dir / "google" / "service-account.json")
        BucketApi(self._bucket(), account).add_routes(app.router)
        IamCredentialsApi(account).add_routes(app.router)
        LocationFinderApi().add_routes(app.router)
        MetadataApi(PROJECT).add_routes(app.router)
        Probes().add_routes(app.router, CONTROL)
        if self._google:
            self._google.add_routes(app.router, CONTROL)
            ComputeApi(self._google.machines).add_routes(app.router)
        if self._instance_metadata:
            self._instance_metadata.add_routes(app.router)
        if self._images:
            self._images.add_routes(app.router)
        if isinstance(self.park, MachinePark):
            PlayerRoutes(self.park).add_routes(app.router, CONTROL)
            RegistryApi(self.park.images).add_routes(app.router, CONTROL)
            SetupRoutes(self.park).add_routes(app.router, CONTROL)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_WORDS_S)
        self._running.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.SockSite(runner, listener).start()

    @property
    def _launcher_folder(self) -> Path:
        return self.options.state_dir.absolute() / "bin"

    def _bucket(self) -> ObjectStore:
        store = ObjectStore(self.options.state_dir / "bucket")
        library.seed(store, BUCKET)
        return store

    def _lock_state(self) -> None:
        """Lock the state folder: two simulations in one would rent out the same stock."""
        try:
            self.options.state_dir.mkdir(parents=True, exist_ok=True)
            lock = self._running.enter_context((self.options.state_dir / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SimulationError(f"another simulator already works in {self.options.state_dir}") from error
        except OSError as error:
            raise SimulationError(f"{self.options.state_dir}: {os.strerror(error.errno or 0)}") from error
