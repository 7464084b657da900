"""A gateway to ask, and the same one listening."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from errors import UnavailableError
from tests.gateway import ANN, GatewayWorld, gateway, listening, token, web_gateway
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
