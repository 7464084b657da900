"""Saves in the simulated bucket, as machines write them, and a gateway that shows and changes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from auth.callers import Caller
from models.catalog import ConsoleType
from models.database import Database
from models.launches import LaunchStatus
from models.vms import VmStatus
from providers.http import Http
from providers.storage.bucket import ABSENT, Bucket
from providers.storage.tokens import NoTokens
from simulator.bucket.api import BucketApi
from simulator.bucket.store import ObjectStore
from simulator.google.metadata import MetadataApi
from simulator.google.service_account import IamCredentialsApi, ServiceAccount
from streaming.saves.archive import Manifest, SavedFile, digest, pack, unpack
from streaming.saves.parts import MachineLabel, VersionReason, archive_metadata, beside_name
from streaming.saves.slots import SaveSlot
from streaming.saves.versions import version_name
from tests.gateway import ANN, GatewayWorld, a_launch, a_vm, gateway_world

SLOT = SaveSlot("ann", ConsoleType.GB, "tetris")
FILE = ".config/retroarch/saves/tetris.srm"
MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
ON_M1 = MachineLabel("200000000000000001", "Dallas, United States (TensorDock)")
ON_M2 = MachineLabel("200000000000000002", "Chicago, United States (TensorDock)")
LAUNCH, OTHER_LAUNCH = "100000000000000001", "100000000000000002"


@dataclass
class Shelf:
    """The bucket, and machines' uploads into it as streaming.saves.transfer writes them."""

    gateway: GatewayWorld
    bucket: Bucket
    store: ObjectStore
    before: dict[tuple[str, str], Callable[[], Awaitable[None]]] = field(default_factory=dict)

    def meanwhile(self, method: str, ending: str, work: Callable[[], Awaitable[None]]) -> None:
        """Let something happen right before the next request of this kind for an object whose name ends so."""
        self.before[method, ending] = work

    async def upload(
        self, moment: datetime, content: bytes, machine: MachineLabel = ON_M1, slot: SaveSlot = SLOT, writer: str = "m1"
    ) -> None:
        """A version, which becomes current."""
        packed = packed_save(content, writer, version_name(moment))
        words = archive_metadata(1, writer, machine, moment)
        current = await self.bucket.stat(f"{slot.prefix}/current.tar.gz")
        generation = ABSENT if current is None else current.generation
        for name, expected in ((f"versions/{version_name(moment)}", ABSENT), ("current", generation)):
            await self.bucket.write(
                f"{slot.prefix}/{name}.tar.gz",
                packed,
                content_type="application/gzip",
                if_generation=expected,
                metadata=words,
            )

    async def conflict(
        self,
        content: bytes,
        machine: MachineLabel = ON_M2,
        writer: str = "m2",
        moment: datetime = MONDAY + timedelta(hours=3),
    ) -> str:
        """The upload of a machine that another one was faster than; the name of the version."""
        name = beside_name(VersionReason.CONFLICT, writer, digest(files(content)))
        words = archive_metadata(1, writer, machine, moment)
        await self.bucket.write(
            f"{SLOT.prefix}/versions/{name}.tar.gz",
            packed_save(content, writer),
            content_type="application/gzip",
            metadata=words,
        )
        return name

    async def current(self, slot: SaveSlot = SLOT) -> bytes | None:
        """What a launch on a new machine would restore."""
        stored = await self.bucket.read(f"{slot.prefix}/current.tar.gz", 10_000)
        return None if stored is None else unpack(stored[1], 10_000)[0][FILE].content

    async def writer(self) -> str:
        stored = await self.bucket.stat(f"{SLOT.prefix}/current.tar.gz")
        assert stored is not None
        return stored.metadata["writer"]

    def names(self) -> list[str]:
        return [one.name for one in self.store.list("games", "saves/")]

    async def slots(self, caller: Caller = ANN, **variables: Any) -> list[dict[str, Any]]:
        return list((await self.gateway.data("Saves", caller, **{"console": "GB", **variables}))["saves"])

    async def slot(self) -> dict[str, Any]:
        (slot,) = await self.slots()
        return slot

    async def change(self, document: str, caller: Caller = ANN, /, **variables: Any) -> dict[str, Any]:
        """The payload of a mutation that is done."""
        (payload,) = (await self.gateway.data(document, caller, **variables)).values()
        assert payload["errors"] == []
        return dict(payload)

    async def refused(self, document: str, caller: Caller = ANN, /, **variables: Any) -> dict[str, Any]:
        """The only error of a mutation that changed nothing in the bucket."""
        before = [(one.name, one.generation) for one in self.store.list("games", "saves/")]
        (payload,) = (await self.gateway.data(document, caller, **variables)).values()
        assert [(one.name, one.generation) for one in self.store.list("games", "saves/")] == before
        (error,) = payload["errors"]
        return dict(error)


def files(content: bytes) -> dict[str, SavedFile]:
    return {FILE: SavedFile(content, 1_700_000_000)}


def packed_save(content: bytes, writer: str, version: str | None = None) -> bytes:
    return pack(files(content), Manifest(writer, 0, version))


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> ServiceAccount:
    return ServiceAccount("gamer-test", tmp_path_factory.mktemp("google") / "service-account.json")


@pytest.fixture
async def shelf(db: Database, tmp_path: Path, account: ServiceAccount) -> AsyncIterator[Shelf]:
    store = ObjectStore(tmp_path / "buckets")
    store.create_bucket("games")
    before: dict[tuple[str, str], Callable[[], Awaitable[None]]] = {}

    @web.middleware
    async def interfere(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        for method, ending in list(before):
            if request.method == method and request.path.endswith(ending):
                await before.pop((method, ending))()
        return await handler(request)

    application = web.Application(middlewares=[interfere])
    BucketApi(store, account).add_routes(application.router)
    IamCredentialsApi(account).add_routes(application.router)
    MetadataApi("gamer-test").add_routes(application.router)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url, http = f"http://127.0.0.1:{runner.addresses[0][1]}", Http()
    async with gateway_world(db, google_url=url) as gateway:
        yield Shelf(gateway, Bucket(http, "games", NoTokens(), endpoint_url=url), store, before)
    await http.close()
    await runner.cleanup()


async def played_on(
    shelf: Shelf,
    machine: MachineLabel,
    launch_id: str,
    status: VmStatus,
    *,
    user_id: str = "ann",
    game_id: str = "tetris",
    saves_pending: bool = True,
) -> None:
    """A machine on which the slot was set up."""
    launch = a_launch(launch_id, user_id, console=ConsoleType.GB, game_id=game_id, status=LaunchStatus.READY)
    vm = a_vm(machine.vm_id or "", user_id, status=status, game_launch_id=launch_id, saves_pending=saves_pending)
    for model, document in ((type(launch), launch), (type(vm), vm)):
        await shelf.gateway.db.delete(model, {"_id": document.id})
        await shelf.gateway.db.insert(document)
