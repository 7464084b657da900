"""While the database answers reads and refuses writes: what is read is served, what is changed fails in good form, and
operators see why."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
from pydantic import SecretStr

from auth.api_keys import ApiKeys, KeyHasher
from auth.authenticator import Authenticator
from auth.callers import Role
from auth.rate_limits import RequestRate
from auth.tokens import SharedSecret, TokenVerifier
from composition.metrics import record_write_check
from models.api_keys import ApiKey
from models.database import Database
from models.rate_counters import RateWindow
from models.write_probe import WriteCheck, WriteProbe
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from server import prepare_database
from streaming.library import Library
from tests.fault_proxy import READS, WRITES, Error, Fault, FaultProxy, fault_proxy
from tests.gateway import (
    ANN,
    DALLAS,
    OPERATOR,
    TOKEN_SECRET,
    GatewayWorld,
    a_launch,
    a_vm,
    gateway_world,
    listening,
    token,
    web_gateway,
)
from tests.web.conftest import ORIGIN
from web.app import create_app
from web.health import Readiness, database_check
from web.metrics import Metrics

LAUNCH: Final = "100000000000000001"
VIEWER: Final = "{ viewer { id } }"
HOME: Final = """{
  viewer { id }
  vms(first: 5) { edges { node { id status } } }
  launches(first: 5) { edges { node { id } } }
  consoles { type }
}"""
REFUSALS: Final = {
    "a full account": Error(8000, "AtlasError", message="you are over your space quota, using 513 MB of 512 MB"),
    "a full disk": Error(14031, "OutOfDiskSpace"),
    "a changed role": Error(13, "Unauthorized"),
    "a slow disk": Error(262, "ExceededTimeLimit"),
    "an error that no list has": Error(424242, "SomethingNew"),
}


def refused(error: Error) -> Fault:
    return Fault((*WRITES, "create", "createIndexes"), error=error)


@pytest.fixture
async def proxy(mongodb_uri: str) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(mongodb_uri) as proxy:
        yield proxy


@pytest.fixture
async def world(proxy: FaultProxy, forgotten_sockets: None) -> AsyncIterator[GatewayWorld]:
    """A gateway whose database is behind the proxy."""
    db = Database(proxy.uri, f"test_{secrets.token_hex(6)}")
    try:
        async with gateway_world(db) as made:
            await db.ensure_indexes([RateWindow, WriteCheck])
            await db.insert(a_launch(LAUNCH))
            await db.insert(a_vm("200000000000000001"))
            yield made
    finally:
        proxy.clear()
        await db.drop()
        await db.close()


class Client:
    """ann's page, and a program with an API key that was used long ago."""

    def __init__(self, address: str, key: str, http: aiohttp.ClientSession) -> None:
        self.url = f"http://{address}"
        self._key = key
        self._http = http

    async def ask(self, query: str, *, by_key: bool = False, **variables: Any) -> tuple[aiohttp.ClientResponse, Any]:
        credentials = {"X-API-Key": self._key} if by_key else {"Authorization": f"Bearer {token(ANN)}"}
        headers = {**credentials, "Origin": ORIGIN}
        content = {"query": query, "variables": variables}
        async with self._http.post(f"{self.url}/graphql", json=content, headers=headers) as answer:
            return answer, await answer.json()

    async def get(self, path: str) -> tuple[aiohttp.ClientResponse, Any]:
        headers = {"Authorization": f"Bearer {token(ANN)}", "Origin": ORIGIN}
        async with self._http.get(f"{self.url}{path}", headers=headers) as answer:
            return answer, await answer.json()


@pytest.fixture
async def probe(world: GatewayWorld) -> WriteProbe:
    return WriteProbe(world.db, every_s=0)


@pytest.fixture
async def client(world: GatewayWorld, probe: WriteProbe) -> AsyncIterator[Client]:
    keys = ApiKeys(world.db, KeyHasher(SecretStr("a secret for the API keys of these tests")))
    made = await keys.create(OPERATOR, "shop", Role.OPERATOR)
    gateway = web_gateway(
        world,
        authenticator=Authenticator(TokenVerifier(SharedSecret(SecretStr(TOKEN_SECRET))), keys),
        cors_origins=(ORIGIN,),
        rate=RequestRate(world.db, 1000),
    )
    app = create_app(gateway, Readiness({"database": database_check(probe)}))
    async with listening(app) as address, aiohttp.ClientSession() as http:
        yield Client(address, made.secret.get_secret_value(), http)


@pytest.mark.parametrize("why", REFUSALS)
async def test_everything_that_only_reads_is_served(proxy: FaultProxy, client: Client, why: str) -> None:
    with proxy.fault(refused(REFUSALS[why])):
        by_token, told = await client.ask(HOME)
        by_key, told_by_key = await client.ask(HOME, by_key=True)
        rest, vms = await client.get("/vms")
        places, placements = await client.get(
            f"/launch/placements?console=SWITCH&latitude={DALLAS['latitude']}&longitude={DALLAS['longitude']}"
        )

    assert [answer.status for answer in (by_token, by_key, rest, places)] == [200] * 4
    assert [("errors" in content) for content in (told, told_by_key, vms, placements)] == [False] * 4
    assert len(told["data"]["vms"]["edges"]) == len(told_by_key["data"]["vms"]["edges"]) == 1
    assert by_token.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("why", REFUSALS)
async def test_a_change_fails_in_the_form_of_its_address(proxy: FaultProxy, client: Client, why: str) -> None:
    change = (
        'mutation { launchGame(input: {console: SWITCH, gameId: "mario-odyssey"}) { launch { id } errors { code } } }'
    )
    with proxy.fault(refused(REFUSALS[why])):
        answer, told = await client.ask(change)

    (fault,) = told["errors"]
    known = why != "an error that no list has"
    assert fault["extensions"]["code"] == ("UNAVAILABLE" if known else "INTERNAL")
    assert answer.headers.get("Retry-After") == ("2" if known else None)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert len(answer.headers["X-Request-ID"]) == 32
    assert REFUSALS[why].name not in json.dumps(told)


async def test_a_socket_serves_reads(proxy: FaultProxy, client: Client) -> None:
    with proxy.fault(refused(REFUSALS["a full account"])):
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{client.url}/graphql", protocols=["graphql-transport-ws"]) as socket,
        ):
            payload = {"Authorization": f"Bearer {token(ANN)}"}
            await socket.send_json({"type": "connection_init", "payload": payload})
            await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": HOME}})
            heard = [await socket.receive_json(timeout=10) for _ in range(3)]

    assert [message["type"] for message in heard] == ["connection_ack", "next", "complete"]
    assert "errors" not in heard[1]["payload"]


class TestReadiness:
    async def test_it_is_ready_while_only_writes_are_refused(self, proxy: FaultProxy, client: Client) -> None:
        before, told_before = await client.get("/ready")
        with proxy.fault(refused(REFUSALS["a full account"])):
            during, told = await client.get("/ready")

        assert (before.status, told_before["checks"]["database"]) == (200, {"ok": True, "writable": True})
        assert (during.status, told["checks"]["database"]) == (200, {"ok": True, "writable": False})

    async def test_it_is_not_ready_before_the_first_write(self, proxy: FaultProxy, client: Client) -> None:
        with proxy.fault(refused(REFUSALS["a full account"])):
            answer, told = await client.get("/ready")
        after, _ = await client.get("/ready")

        assert (answer.status, told["checks"]["database"]["writable"]) == (503, False)
        assert after.status == 200

    async def test_a_first_question_while_writes_are_refused_finds_what_the_start_has_written(
        self, proxy: FaultProxy, client: Client, world: GatewayWorld, probe: WriteProbe
    ) -> None:
        async def claimed() -> None:
            return

        await prepare_database(world.db, probe, claimed, asyncio.Event(), asyncio.Event())
        with proxy.fault(refused(REFUSALS["a full account"])):
            during, told = await client.get("/ready")

        assert (during.status, told["checks"]["database"]) == (200, {"ok": True, "writable": False})

    async def test_it_is_not_ready_while_reads_fail(self, proxy: FaultProxy, client: Client) -> None:
        await client.get("/ready")
        with proxy.fault(Fault(READS, error=REFUSALS["a changed role"])):
            answer, told = await client.get("/ready")

        assert (answer.status, told["checks"]["database"]["ok"]) == (503, False)

    async def test_writes_that_hang_are_no_writes(self, proxy: FaultProxy, world: GatewayWorld) -> None:
        probe = WriteProbe(world.db, every_s=0, patience_s=0.2)
        with proxy.fault(Fault(WRITES, silent=True)):
            assert await probe.check() is False
        assert await probe.check() is True

    async def test_however_many_ask_it_writes_once_in_a_while(self, proxy: FaultProxy, world: GatewayWorld) -> None:
        now = 100.0
        probe = WriteProbe(world.db, every_s=10, clock=lambda: now)
        proxy.forget()

        await asyncio.gather(*(probe.check() for _ in range(20)))
        now += 9
        await probe.check()
        now += 2
        await probe.check()

        assert len([command for command in proxy.commands if command.collection == "write_checks"]) == 2
        assert await world.db.count(WriteCheck, {}) == 1

    async def test_the_metric_says_whether_writes_are_taken(self, proxy: FaultProxy, world: GatewayWorld) -> None:
        metrics, probe = Metrics("1.2.3"), WriteProbe(world.db, every_s=0)
        values = []

        await record_write_check(metrics, probe)
        values.append(metrics.registry.get_sample_value("gamer_database_writable"))
        with proxy.fault(refused(REFUSALS["a full disk"])):
            await record_write_check(metrics, probe)
        values.append(metrics.registry.get_sample_value("gamer_database_writable"))

        assert values == [1, 0]


async def test_an_api_key_is_noted_as_used_when_writes_are_taken_again(
    proxy: FaultProxy, client: Client, world: GatewayWorld
) -> None:
    async def last_used() -> Any:
        (key,) = await world.db.find(ApiKey, {})
        return key.last_used_at

    with proxy.fault(refused(REFUSALS["a full account"])):
        await client.ask(VIEWER, by_key=True)
    unnoted = await last_used()
    await client.ask(VIEWER, by_key=True)

    assert unnoted is None
    assert await last_used() is not None


async def test_a_bucket_that_hangs_is_named_to_nobody(world: GatewayWorld) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        http = Http(timeout_s=0.2)
        library = Library(Bucket(http, "hidden-bucket", NoTokens(), endpoint_url=f"http://127.0.0.1:{port}"))
        world.services = dataclasses.replace(world.services, library=library)
        answer = await world.ask("Games", ANN)
        await library.close()
        await http.close()

    (fault,) = answer["errors"]
    assert fault["extensions"]["code"] == "UNAVAILABLE"
    assert fault["message"] == "the game library cannot be read: no response in time"
    assert "hidden-bucket" not in json.dumps(answer)
    assert "127.0.0.1" not in json.dumps(answer)
