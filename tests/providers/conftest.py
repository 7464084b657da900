"""TensorDock's stand-in, and the real provider pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from providers.http import Http
from providers.tensordock.provider import TensorDock, TensorDockOptions
from tests.providers.tensordock_stand_in import KEY, TOKEN, StandIn, running

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxGamerProvisionerTestKey gamer"

Connect = Callable[..., TensorDock]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running(StandIn()) as cloud:
        yield cloud


@pytest.fixture
async def connect(stand_in: StandIn) -> AsyncIterator[Connect]:
    """Makes providers that share nothing, as processes do. Quick, unless told otherwise."""
    options = TensorDockOptions(
        stand_in.url,
        TOKEN,
        PUBLIC_KEY,
        KEY,
        requests_per_second=1000,
        settle_s=0.3,
        timeout_s=2,
        slow_timeout_s=1.5,
        leave_within_s=0.5,
    )
    opened: list[tuple[TensorDock, Http]] = []

    def connected(**changes: Any) -> TensorDock:
        http = Http()
        opened.append((TensorDock(replace(options, **changes), http), http))
        return opened[-1][0]

    yield connected
    for provider, http in opened:
        await provider.close()
        await http.close()


@pytest.fixture
def tensordock(connect: Connect) -> TensorDock:
    return connect()
