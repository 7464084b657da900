"""A gateway under attack: as production has it, with limits small enough to be reached, and a healthy client beside."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from auth.callers import Caller
from auth.rate_limits import SocketsPerCaller
from models.api_keys import ApiKey
from models.catalog import ConsoleSettings
from models.launches import Launch
from models.limits import SpendingLimit
from schema.execution.executor import GraphQLExecution
from tests.gateway import ANN, SERVICE, GatewayWorld, listening, token, web_gateway
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness
from web.http_protocol import hardened_http_protocol

ROOT: Final = Path(__file__).resolve().parents[2]
# Words that would tell an attacker how the inside looks: traces, files, libraries, databases.
INTERNAL: Final = re.compile(
    rf"{re.escape(str(ROOT))}/"
    r"|Traceback|File \"|\.py\b|site-packages|/tmp/|/home/|/usr/|0x[0-9a-f]{6,}"
    r"|strawberry|graphql-core|graphql\.error|starlette|uvicorn|pymongo|odmantic|pydantic|orjson|jwt\.|h11\b|httptools|llhttp"
    r"|mongodb|MongoDB|temporalio|asyncio|Errno|Exception|KeyError|TypeError|ValueError|RecursionError"
)
LIMITS: Final = WebLimits(
    max_body_bytes=20_000,
    body_timeout_s=1.0,
    connection_init_timeout_s=1.5,
    send_timeout_s=1.0,
    max_operations_per_socket=3,
    max_messages_per_minute=300,
)
# How long the healthy client waits at most, in time that this process computes, for a busy machine takes away the rest.
_PATIENCE_S: Final = 3.0
_PATIENCE_ON_A_BUSY_MACHINE_S: Final = 20.0
_MOST_GROWTH_KB: Final = 60_000


@dataclass
class Told:
    """An answer, after it was looked through."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def content(self) -> Any:
        return json.loads(self.text)

    @property
    def extensions(self) -> dict[str, Any]:
        """Of the first error."""
        found: dict[str, Any] = self.content["errors"][0]["extensions"]
        return found

    @property
    def code(self) -> str:
        return str(self.extensions["code"])


@dataclass
class AttackedGateway:
    world: GatewayWorld
    address: str
    http: aiohttp.ClientSession
    lives: str = ""  # a token of the healthy client
    served: list[float] = field(default_factory=list)  # how long the healthy client waited, each time
    computed: list[float] = field(default_factory=list)  # how long this process computed in each of them

    @property
    def url(self) -> str:
        return f"http://{self.address}/graphql"

    async def ask(self, content: Any, caller: Caller = ANN, **headers: str) -> Told:
        """A query's text, or anything else to be sent as JSON."""
        body = {"query": content} if isinstance(content, str) else content
        return await self.send(json.dumps(body).encode(), caller, **headers)

    async def send(self, body: bytes, caller: Caller = ANN, **headers: str) -> Told:
        sent = {
            "Authorization": f"Bearer {token(caller)}",
            "Content-Type": "application/json",
            "Accept": "application/graphql-response+json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.http.post(self.url, data=io.BytesIO(body), headers=sent) as answer:
            return harmless(Told(answer.status, await answer.text(), dict(answer.headers)))

    async def raw(self, sent: bytes, wait_s: float = 7.0) -> bytes:
        """Everything that comes back on a connection of its own until the server closes it, or nothing more comes."""
        reader, writer = await asyncio.open_connection(*self.address.split(":"))
        try:
            writer.write(sent)
            said = b""
            with suppress(ConnectionResetError):
                async with asyncio.timeout(wait_s):
                    while more := await reader.read(65_536):
                        said += more
            return seemly(said)
        finally:
            writer.transport.abort()

    async def nothing_happened(self) -> None:
        """No launch, no key, no setting, no word to the engine."""
        assert self.world.engine.started == []
        assert self.world.engine.asked == []
        assert self.world.engine.pins == []
        for model in (Launch, ApiKey, ConsoleSettings, SpendingLimit):
            assert await self.world.db.count(model, {}) == 0, model


def harmless(told: Told) -> Told:
    """Raises AssertionError when it tells something of the inside."""
    found = INTERNAL.search(told.text)
    assert found is None, f"{found}: {told.text[:500]}"
    assert told.status != 500, told.text
    assert '"INTERNAL"' not in told.text, told.text
    assert len(told.text) < 200_000
    return told


def seemly(said: bytes) -> bytes:
    found = INTERNAL.search(said.decode("latin-1"))
    assert found is None, found
    return said


@asynccontextmanager
async def attacked_gateway(world: GatewayWorld, *, lives: str = "", **changes: Any) -> AsyncIterator[AttackedGateway]:
    """Ends with proof that somebody else was served all the while, and that memory did not run away."""
    execution = GraphQLExecution(open_introspection=False, suggestions=False)
    settings = {"execution": execution, "limits": LIMITS, "sockets": SocketsPerCaller(5), **changes}
    app = create_app(web_gateway(world, **settings), Readiness(), open_explorer=False, tls_only=True)
    before = resident_kb()
    # On a busy machine a connection that is kept may be given up just when the next request leaves on it.
    one_each = aiohttp.TCPConnector(force_close=True)
    async with (
        listening(app, hardened_http_protocol(1.0)) as address,
        aiohttp.ClientSession(connector=one_each) as http,
    ):
        attacked = AttackedGateway(world, address, http, lives or token(SERVICE))
        healthy = asyncio.create_task(_healthy(attacked))
        try:
            yield attacked
        finally:
            healthy.cancel()
            await asyncio.gather(healthy, return_exceptions=True)
        if healthy.done() and not healthy.cancelled():
            healthy.result()
        await _served_once(attacked)
        assert max(attacked.served) < _PATIENCE_ON_A_BUSY_MACHINE_S
        assert max(attacked.computed) < _PATIENCE_S
        assert resident_kb() - before < _MOST_GROWTH_KB


@pytest.fixture
async def attacked(gateway: GatewayWorld) -> AsyncIterator[AttackedGateway]:
    async with attacked_gateway(gateway) as made:
        yield made


async def _healthy(attacked: AttackedGateway) -> None:
    while True:
        await _served_once(attacked)
        await asyncio.sleep(0.05)


async def _served_once(attacked: AttackedGateway) -> None:
    begun, computed = time.perf_counter(), time.process_time()
    headers = {"Authorization": f"Bearer {attacked.lives}"}
    async with attacked.http.post(attacked.url, json={"query": "{ viewer { __typename } }"}, headers=headers) as answer:
        assert (await answer.json())["data"] == {"viewer": {"__typename": "Viewer"}}
    attacked.served.append(time.perf_counter() - begun)
    attacked.computed.append(time.process_time() - computed)


def resident_kb() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
