"""A park with one machine that is on, with or without Wolf, and a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
from aiohttp import web

from simulator.bucket.api import BucketApi
from simulator.bucket.store import ObjectStore
from simulator.clock import Clock
from simulator.cloudypad.setup import MachineSetup
from simulator.machines.pool import MachinePark
from tests.simulator.machines.box import CONFIG, Box

FACTOR = 2000


@pytest.fixture
async def park(tmp_path: Path) -> AsyncIterator[MachinePark]:
    park = MachinePark(tmp_path, Clock(FACTOR))
    yield park
    await park.close()


@pytest.fixture(scope="session")
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
async def box(park: MachinePark, key: asyncssh.SSHKey, tmp_path: Path) -> Box:
    await park.create("m-1", user="user", authorized_keys=[key.export_public_key().decode()], cloud_init=None)
    await park.power_on("m-1")
    return Box(park, "m-1", key, tmp_path)


@pytest.fixture
async def wolf(box: Box) -> Box:
    """A machine on which Wolf runs."""
    setup = MachineSetup(box.machine, "user")
    await setup.install_docker()
    setup.write_wolf_config(CONFIG)
    setup.write_compose_file()
    setup.write_readiness()
    await setup.start_wolf()
    return box


@pytest.fixture
async def bucket(tmp_path: Path) -> AsyncIterator[tuple[ObjectStore, str]]:
    """A bucket named `games` with two objects, and where it is served."""
    store = ObjectStore(tmp_path / "buckets")
    store.create_bucket("games")
    store.write("games", "roms/gb/tiny.gb", b"tiny")
    store.write("games", "roms/switch/big game.nsp", b"x" * 2_000_000)
    application = web.Application()
    BucketApi(store).add_routes(application.router)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield store, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
