"""A pool of real machines, a service that rents them, and the player's side. `make real-machine` runs these tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from providers.tensordock.cloud_init import cloud_init
from streaming.keys import KeyPair, ensure_key_pair
from streaming.machine import StreamingMachines
from tests.real_machine.machine import RealMachine, run_on
from tests.real_machine.pool import RealMachinePool
from tests.real_machine.world import bucket_server, streaming_machines

DISK = os.environ.get("REAL_MACHINE_DISK")


@pytest.fixture(scope="session")
def disk() -> Path:
    """The disk that `make real-machine` has built."""
    if DISK is None:
        pytest.skip("real machines need root on Linux and a disk that is built first: sudo make real-machine")
    return Path(DISK)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return ensure_key_pair(tmp_path_factory.mktemp("keys") / "id_ed25519")


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[RealMachinePool]:
    pool = RealMachinePool(tmp_path_factory.mktemp("machines"), disk)
    yield pool
    asyncio.run(pool.close())


@pytest.fixture(scope="session")
def machine(pool: RealMachinePool, key: KeyPair) -> RealMachine:
    """A machine that is on and has had its first boot, with the key let in and the order's user-data."""

    async def made() -> RealMachine:
        first_boot = cloud_init(key.public_key)
        await pool.create("one", user="user", authorized_keys=[key.public_key], cloud_init=first_boot)
        await pool.power_on("one")
        machine = pool.machines["one"]
        assert (await run_on(machine, key.path, "cloud-init", "status", "--wait")).status == 0
        return machine

    return asyncio.run(made())


@pytest.fixture(scope="session")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bucket_server(tmp_path_factory.mktemp("bucket")) as url:
        yield url


@pytest.fixture
async def machines(tmp_path: Path, key: KeyPair, bucket_url: str) -> AsyncIterator[StreamingMachines]:
    async with streaming_machines(tmp_path, key, bucket_url) as machines:
        yield machines
