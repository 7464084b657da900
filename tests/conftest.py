"""What all tests share: an embedded database server a worker, an engine a run, a database a test."""

from __future__ import annotations

import gc
import os
import secrets
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from embedded.ports import free_port
from models.database import Database
from settings import Settings
from tests.children import Run, end_all
from tests.databases import PreparedDatabases
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.scheduling import TwoEndedScheduling
from tests.servers import MONGODB, TEMPORAL, TEMPORAL_TEST, own_port, shared_port

RUN_OF = pytest.StashKey[Run]()
COLLECTED = pytest.StashKey[list[str]]()

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


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tests name files of the project as seen from its top, from wherever pytest is started."""
    os.chdir(config.rootpath)
    if not hasattr(config, "workerinput"):
        config.stash[RUN_OF] = Run()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two workers a core for `-n auto`: half of them run tests that mostly wait. More only delay each other."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoEndedScheduling:
    return TwoEndedScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker is gone, for whatever reason."""
    end_all(node.config.stash[RUN_OF].folder, node.gateway.id)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that may take long come first, so that no worker is left with one at the end."""
    config.stash[COLLECTED] = [item.nodeid for item in items]
    items.sort(key=allowed_s, reverse=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if run := config.stash.get(RUN_OF, None):
        run.end()


def allowed_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0


@pytest.fixture(scope="session")
def mongodb_uri(pytestconfig: pytest.Config) -> str:
    """A database server: the one that TEST_MONGODB_URI names, else an embedded one of this worker."""
    if named := os.environ.get("TEST_MONGODB_URI"):
        return named
    port = own_port(MONGODB)
    # pymongo forgets the socket with which it was connecting when the task that asked is cancelled just then.
    forgotten = rf"unclosed <socket.*raddr=\('127\.0\.0\.1', {port}\)"
    pytestconfig.addinivalue_line("filterwarnings", f"ignore:{forgotten}:ResourceWarning")
    return f"mongodb://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def prepared(mongodb_uri: str) -> Iterator[PreparedDatabases]:
    with PreparedDatabases(mongodb_uri).opened() as databases:
        yield databases


@pytest.fixture
async def db(prepared: PreparedDatabases) -> AsyncIterator[Database]:
    """An empty database of this test's own, with all indexes of the service. Others had it before."""
    async with prepared.one() as database:
        yield database


@pytest.fixture
async def bare_db(mongodb_uri: str) -> AsyncIterator[Database]:
    """A new database without collections and indexes, dropped afterwards: for tests of what makes them."""
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


@pytest.fixture(scope="session")
def temporal_address() -> str:
    """An engine: the one that TEST_TEMPORAL_ADDRESS names, else the development server of this run."""
    return os.environ.get("TEST_TEMPORAL_ADDRESS") or f"127.0.0.1:{shared_port(TEMPORAL)}"


@pytest.fixture
def workflow_address(request: pytest.FixtureRequest) -> str:
    """An engine for workflows: Temporal's test server where a test is marked for that, else the development server."""
    if os.environ.get("TEST_TEMPORAL_ADDRESS") or not request.node.get_closest_marker("test_server"):
        return str(request.getfixturevalue("temporal_address"))
    return f"127.0.0.1:{shared_port(TEMPORAL_TEST)}"
