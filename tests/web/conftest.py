"""A gateway to ask, and the same one listening."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from errors import UnavailableError
from tests.gateway import ANN, GatewayWorld, gateway, listening, token, web_gateway
from web import console
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness

__all__ = ["gateway"]

ORIGIN = "https://play.example.com"


@pytest.fixture
async def served(gateway: GatewayWorld) -> AsyncIterator[str]:
    """The host and port of a gateway whose limits are small enough to be tried. Its second cloud is away."""
    limits = WebLimits(
        max_body_bytes=20_000,
        body_timeout_s=1.0,
        connection_init_timeout_s=1.0,
        send_timeout_s=1.0,
        max_operations_per_socket=3,
    )
    readiness = Readiness({"database": gateway.db.ping, "engine": gateway.engine.ping}, {"cloudypad": away})
    app = create_app(web_gateway(gateway, limits=limits, cors_origins=(ORIGIN,)), readiness)
    async with listening(app) as address:
        yield address


@pytest.fixture
async def ann(served: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A web client of the player ann."""
    headers = {"Authorization": f"Bearer {token(ANN)}"}
    async with aiohttp.ClientSession(f"http://{served}", headers=headers) as session:
        yield session


async def away() -> None:
    raise UnavailableError("nobody answers there")


@pytest.fixture(scope="session")
def console_packages() -> Path:
    """The folder of the packages with which the console is built and examined; npm fetches them the first time."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("the console was NOT rebuilt and examined: no Node here; `apt-get install nodejs npm`")
    with (console.FOLDER / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # several processes run tests at once
        packages = console.FOLDER / "node_modules"
        if all((packages / name).exists() for name in json.loads(held.read())["devDependencies"]):
            return packages
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=console.FOLDER, capture_output=True, text=True, timeout=50, check=True)
        except subprocess.SubprocessError as error:
            words = (getattr(error, "stderr", None) or str(error))[-300:]
            pytest.skip(f"the console was NOT rebuilt and examined: `npm ci` in {console.FOLDER} failed: {words}")
    return packages
