"""Behind proxies: who the client is, what is our own origin, and which connections stay open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
import pytest

from tests.gateway import ANN, GatewayWorld, listening, request_rate, token, web_gateway
from tests.web.conftest import ORIGIN
from web.app import create_app
from web.health import Readiness
from web.http_protocol import hardened_http_protocol
from web.origins import normal_origin
from web.proxies import TrustedProxies, address_of

VIEWER = {"query": "{ viewer { id } }"}
TLS = {"X-Forwarded-Proto": "https"}
SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "graphql-transport-ws",
}
TEN = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
LOOPBACK = TrustedProxies([ip_network("127.0.0.0/8")])
NONE = TrustedProxies([])


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded_for", "client"),
    [
        (TEN, "10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        (TEN, "10.0.0.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        (TEN, "10.0.0.1", ["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        (TEN, "10.0.0.1", ["10.0.0.9", "10.0.0.2"], "10.0.0.9"),
        (TEN, "10.0.0.1", [], "10.0.0.1"),
        (TEN, "10.0.0.1", ["203.0.113.7", "unknown"], "10.0.0.1"),
        (TEN, "10.0.0.1", ["203.0.113.7", "::1%<b>"], "10.0.0.1"),
        (TEN, "10.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        (TEN, "fd00::1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        (TEN, "::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        (TEN, "192.0.2.1", ["203.0.113.7"], "192.0.2.1"),
        (NONE, "127.0.0.1", ["203.0.113.7"], "127.0.0.1"),
        (TrustedProxies(), "127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        (TrustedProxies(), "127.0.0.2", ["203.0.113.7"], "127.0.0.2"),
        (TrustedProxies(hops=1), "169.254.1.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        (TrustedProxies(hops=2), "169.254.1.1", ["6.6.6.6", "203.0.113.7", "35.191.0.1"], "203.0.113.7"),
        (TrustedProxies(hops=2), "169.254.1.1", ["203.0.113.7"], "203.0.113.7"),
        (TrustedProxies(hops=1), "169.254.1.1", [], "169.254.1.1"),
    ],
)
def test_the_client_is_the_first_address_that_no_trusted_proxy_has(
    proxies: TrustedProxies, peer: str, forwarded_for: Sequence[str], client: str
) -> None:
    found = proxies.client(address_of(peer), forwarded_for) if proxies.trusts(address_of(peer)) else address_of(peer)

    assert str(found) == client


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://Play.Example.com", "https://play.example.com"),
        ("https://play.example.com:443/", "https://play.example.com"),
        ("http://play.example.com:443", "http://play.example.com:443"),
        ("http://play.example.com:80", "http://play.example.com"),
        ("http://[2001:DB8::1]:8000", "http://[2001:db8::1]:8000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
        ("https://play.example.com:port", "https://play.example.com:port"),
        ("https://user@play.example.com", "https://play.example.com"),
    ],
)
def test_an_origin_is_compared_as_browsers_write_it(written: str, normal: str) -> None:
    assert normal_origin(written) == normal


@asynccontextmanager
async def behind(
    world: GatewayWorld, proxies: TrustedProxies, per_minute: int = 100
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    made = web_gateway(world, proxies=proxies, cors_origins=(ORIGIN,), rate=request_rate(world, per_minute))
    async with listening(create_app(made, Readiness())) as address, aiohttp.ClientSession() as http:
        yield f"http://{address}", http


async def test_strangers_behind_a_trusted_proxy_are_counted_one_by_one(gateway: GatewayWorld) -> None:
    async def status(client: str) -> int:
        headers = {"Authorization": "Bearer expired", "X-Forwarded-For": client}
        async with http.post(f"{url}/graphql", json=VIEWER, headers=headers) as answer:
            return answer.status

    async with behind(gateway, LOOPBACK, per_minute=2) as (url, http):
        noisy = [await status("203.0.113.7") for _ in range(3)]
        other = await status("198.51.100.9")

    assert (noisy, other) == ([401, 401, 429], 401)


async def test_a_client_cannot_choose_its_address_itself(gateway: GatewayWorld) -> None:
    async def status(client: str) -> int:
        headers = {"Authorization": "Bearer expired", "X-Forwarded-For": client}
        async with http.post(f"{url}/graphql", json=VIEWER, headers=headers) as answer:
            return answer.status

    async with behind(gateway, NONE, per_minute=2) as (url, http):
        statuses = [await status(f"203.0.113.{number}") for number in range(3)]

    assert statuses == [401, 401, 429]


@pytest.mark.parametrize(
    ("origin", "headers", "opened"),
    [
        ("https://api.example.com", {"Host": "api.example.com", **TLS}, True),
        ("https://API.example.com", {"Host": "Api.example.com:443", "X-Forwarded-Proto": "HTTPS"}, True),
        ("https://api.example.com", {"Host": "api.example.com", "X-Forwarded-Proto": "wss"}, True),
        ("http://api.example.com", {"Host": "api.example.com:80"}, True),
        ("https://api.example.com", {"Host": "10.0.0.5", "X-Forwarded-Host": "api.example.com", **TLS}, True),
        ("https://api.example.com", {"Host": "api.example.com"}, False),
        ("http://api.example.com", {"Host": "api.example.com", **TLS}, False),
        ("https://api.example.com:8443", {"Host": "api.example.com", **TLS}, False),
        ("https://evil.example", {"Host": "api.example.com", **TLS}, False),
        (ORIGIN, {"Host": "api.example.com"}, True),
    ],
)  # fmt: skip
async def test_a_socket_is_opened_to_our_own_origin_as_browsers_compare_it(
    gateway: GatewayWorld, origin: str, headers: dict[str, str], opened: bool
) -> None:
    async with behind(gateway, LOOPBACK) as (url, http):
        sent = {**SOCKET, **headers, "Origin": origin}
        async with http.get(f"{url}/graphql", headers=sent) as answer:
            assert answer.status == (101 if opened else 403)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/graphql/", 200),
        ("GET", "/vms/", 200),
        ("GET", "/health/", 200),
        ("POST", "/graphql//", 404),
        ("GET", "//evil.example/graphql/", 404),
        ("GET", "/nothing/", 404),
    ],
)
async def test_a_slash_at_the_end_is_served_and_never_redirected(
    gateway: GatewayWorld, method: str, path: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token(ANN)}", "Host": "api.example.com", "X-Forwarded-Proto": "https"}
    async with (
        behind(gateway, NONE) as (url, http),
        http.request(
            method, url + path, json=VIEWER if method == "POST" else None, headers=headers, allow_redirects=False
        ) as answer,
    ):
        assert (answer.status, answer.headers.get("Location")) == (status, None)


async def test_the_explorer_finds_its_files_with_and_without_a_slash_at_its_end(gateway: GatewayWorld) -> None:
    async with behind(gateway, NONE) as (url, http):
        found = []
        for path in ("/graphql", "/graphql/"):
            async with http.get(url + path, headers={"Accept": "text/html"}) as answer:
                script = (await answer.text()).partition('<script type="module" src="')[2].partition('"')[0]
            async with http.get(str(answer.url.join(answer.url.__class__(script)))) as asset:
                found.append(asset.status)

    assert found == [200, 200]


@pytest.mark.parametrize(
    "names",
    [
        "content-type,traceparent,tracestate",
        "content-type,sentry-trace,baggage",
        "x-cloud-trace-context",
        "content-type,authorization,apollo-require-preflight,apollographql-client-name,apollographql-client-version",
        "x-b3-traceid,x-b3-spanid,x-b3-sampled,b3",
        "x-datadog-trace-id,x-datadog-parent-id,x-datadog-origin,x-datadog-sampling-priority",
        "last-event-id,cache-control,x-api-key",
    ],
)
async def test_a_page_may_send_the_headers_of_its_tracing_and_its_client(gateway: GatewayWorld, names: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": names}
    async with behind(gateway, NONE) as (url, http), http.options(f"{url}/graphql", headers=asked) as preflight:
        assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)


async def test_a_page_may_not_send_any_other_header(gateway: GatewayWorld) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-forwarded-for",
    }
    async with behind(gateway, NONE) as (url, http), http.options(f"{url}/graphql", headers=asked) as preflight:
        assert preflight.status == 400


class Client:
    """A connection of its own that is kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self) -> int:
        self._writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).splitlines()
        length = next(line.partition(b":")[2] for line in headers if line.lower().startswith(b"content-length:"))
        await self._reader.readexactly(int(length))
        return int(status.split()[1])

    async def is_closed_within(self, seconds: float) -> bool:
        try:
            return await asyncio.wait_for(self._reader.read(), seconds) == b""
        except TimeoutError:
            return False

    def leave(self) -> None:
        self._writer.transport.abort()


async def test_of_more_idle_connections_than_allowed_the_oldest_is_closed(gateway: GatewayWorld) -> None:
    app = create_app(web_gateway(gateway), Readiness())
    async with listening(app, hardened_http_protocol(5, max_idle=2)) as address:
        clients = [Client(*await asyncio.open_connection(*address.split(":"))) for _ in range(3)]
        silent = Client(*await asyncio.open_connection(*address.split(":")))
        for client in clients[:2]:
            await client.ask()
        await clients[0].ask()  # now the second one has been idle for longest

        await clients[2].ask()

        assert await clients[1].is_closed_within(2)
        assert [await client.ask() for client in (clients[0], clients[2], silent)] == [200, 200, 200]
        for client in (*clients, silent):
            client.leave()


async def test_a_connection_stays_open_between_two_requests_for_as_long_as_is_set(gateway: GatewayWorld) -> None:
    app = create_app(web_gateway(gateway), Readiness())
    # The time for the head of a first request is shorter: it is not the limit here.
    async with listening(app, hardened_http_protocol(0.2), timeout_keep_alive=1) as address:
        client = Client(*await asyncio.open_connection(*address.split(":")))
        unused = Client(*await asyncio.open_connection(*address.split(":")))
        await client.ask()

        assert await unused.is_closed_within(0.8)
        assert await client.ask() == 200
        assert await client.is_closed_within(3)
        client.leave()
        unused.leave()
