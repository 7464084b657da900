"""Neither half of the credentials shows in a log, an error or a representation, whatever the cloud does."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from embedded.ports import free_port
from errors import ProviderError
from providers.base import MachineId, Offer, ProviderName, SiteId, Tag
from providers.http import Http
from providers.tensordock.client import TensorDockClient
from providers.tensordock.provider import TensorDock, TensorDockOptions
from tests.providers.conftest import PUBLIC_KEY, Connect
from tests.providers.tensordock_stand_in import HTML, KEY, TOKEN, Said, StandIn

MACHINE = MachineId("468b716a-0000-4000-8000-000000000001")
OFFER = Offer(ProviderName.TENSORDOCK, SiteId("h"), 2, 4, 100, None, usd_per_hour=Decimal("0.02"))
ECHO = f"Invalid Bearer {TOKEN} for api_key={KEY}"
FAULTS = [
    Said(401, {"error": ECHO}),
    Said(400, {"errors": [{"detail": ECHO}]}),
    Said(400, [{"message": ECHO}]),
    Said(200, {"success": False, "error": ECHO}),
    Said(429, {"error": ECHO}),
    Said(500, {"error": "-" * 245 + TOKEN + KEY}),
    Said(500, {"error": "-" * 200 + TOKEN + KEY}),
    Said(502, HTML + ECHO),
    Said(cut=True),
]


def every_call(provider: TensorDock) -> list[Callable[[], Awaitable[object]]]:
    return [
        provider.sites,
        provider.machines,
        provider.health,
        lambda: provider.machine(MACHINE),
        lambda: provider.start(MACHINE),
        lambda: provider.stop(MACHINE),
        lambda: provider.release(MACHINE),
        lambda: provider.rent(OFFER, Tag("gamer-1")),
    ]


async def told_by(provider: TensorDock) -> str:
    """All that errors and answers say."""
    told = repr(provider)
    for call in every_call(provider):
        try:
            told += repr(await call())
        except ProviderError as error:
            told += _everything_of(error)
    return told


@pytest.mark.parametrize("said", FAULTS)
async def test_no_credential_is_told_when_the_cloud_fails_or_echoes(
    connect: Connect, stand_in: StandIn, caplog: pytest.LogCaptureFixture, said: Said
) -> None:
    caplog.set_level("DEBUG")
    stand_in.put("gamer-1")
    for kind in ("hostnodes", "list", "get", "create", "delete", "start", "stop", "free", "balance", "auth"):
        stand_in.script(kind, *[said] * 20)

    told = await told_by(connect(settle_s=0.02))

    told += "".join(f"{record.__dict__!r}" for record in caplog.records)
    assert not leaked(told)


async def test_no_credential_is_told_when_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    http = Http()
    url = f"http://127.0.0.1:{free_port()}"
    provider = TensorDock(TensorDockOptions(url, TOKEN, PUBLIC_KEY, KEY, requests_per_second=1000, settle_s=0.02), http)

    told = await told_by(provider)
    await asyncio.gather(provider.close(), http.close())

    told += "".join(f"{record.__dict__!r}" for record in caplog.records)
    assert not leaked(told)


def test_no_credential_is_in_a_representation() -> None:
    options = TensorDockOptions("http://127.0.0.1", TOKEN, PUBLIC_KEY, KEY)
    client = TensorDockClient(Http(), options.url, TOKEN, KEY)

    shown = repr(options) + str(options) + repr(client)

    assert not leaked(shown)


def leaked(text: str) -> list[str]:
    """Either credential, or the better half of one."""
    return [part for secret in (TOKEN, KEY) for part in (secret[:9], secret[-9:]) if part in text]


def _everything_of(error: BaseException) -> str:
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    behind = [cause for cause in (error.__cause__, error.__context__) if cause is not None]
    return told + "".join(map(_everything_of, behind))
