"""What all tests share: one embedded database server a session, one database a test."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from embedded.ports import free_port
from models.database import Database
from settings import Settings
from tests.fault_proxy import FaultProxy, fault_proxy

# How long an example takes says more about the machine than about us, and each clears up after the one before.
settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("unhurried")


@pytest.fixture
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """For tests that read settings: variables and the `.env` of whoever works here may be those of real accounts."""
    for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("no-dot-env"))


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[str]:
    """A database server: the one that TEST_MONGODB_URI names, else an embedded one for this session."""
    if named := os.environ.get("TEST_MONGODB_URI"):
        yield named
        return
    port = free_port()
    # pymongo forgets the socket with which it was connecting when the task that asked is cancelled just then.
    forgotten = rf"unclosed <socket.*raddr=\('127\.0\.0\.1', {port}\)"
    pytestconfig.addinivalue_line("filterwarnings", f"ignore:{forgotten}:ResourceWarning")
    folder = tmp_path_factory.mktemp("mongodb")
    command = [
        str(Path(sys.executable).with_name("secantusd-py")),
        *("--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder), "--log-level", "WARNING"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port, server)
            yield f"mongodb://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
async def db(mongodb_uri: str) -> AsyncIterator[Database]:
    """An empty database of this test's own, dropped afterwards."""
    database = Database(mongodb_uri, f"test_{secrets.token_hex(6)}")
    yield database
    await database.drop()
    await database.close()


@pytest.fixture
async def faults(mongodb_uri: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the database server, whose faults a test chooses."""
    async with fault_proxy(mongodb_uri) as proxy:
        yield proxy


@pytest.fixture
async def faulty_db(faults: FaultProxy, db: Database) -> AsyncIterator[Database]:
    """The test's database, reached through `faults`."""
    database = Database(faults.uri, db.name, timeout_s=2)
    yield database
    await database.close()


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """For tests of a database that goes away. pymongo forgets the socket with which it was connecting when its client
    is closed; it is collected here, where it is expected, and not while some other test runs."""
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        gc.collect()


@pytest.fixture
async def db_away(forgotten_sockets: None) -> AsyncIterator[Database]:
    """A database where nobody listens."""
    database = Database(f"mongodb://127.0.0.1:{free_port()}", "away", timeout_s=0.2)
    yield database
    await database.close()


def await_port(port: int, server: subprocess.Popen[bytes], within_s: float = 30) -> None:
    """Until a child accepts connections; AssertionError when it ended or took too long."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server on port {port} ended with {server.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {within_s} s")


@pytest.fixture(scope="session")
def temporal_address() -> Iterator[str]:
    """An engine: the one that TEST_TEMPORAL_ADDRESS names, else a development server for this session."""
    if named := os.environ.get("TEST_TEMPORAL_ADDRESS"):
        yield named
        return
    port = free_port()
    executable = shutil.which("temporal") or str(Path(sys.executable).with_name("temporal"))
    command = [
        *(executable, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)),
        *("--log-level", "never", "--http-port", str(free_port())),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port, server)
            await_namespace(executable, f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def await_namespace(executable: str, address: str, within_s: float = 30) -> None:
    """An engine accepts connections before it knows its namespace, and refuses all work until then."""
    question = [executable, "operator", "namespace", "describe", "--address", address, "--namespace", "default"]
    deadline = time.monotonic() + within_s
    while subprocess.run(question, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        assert time.monotonic() < deadline, f"the engine at {address} does not know its namespace after {within_s} s"
        time.sleep(0.05)
