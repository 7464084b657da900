"""What the protocol of HTTP connections does with messages that llhttp alone would let pass, on both event loops."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.gateway import listening
from web.http_protocol import HardenedHttpProtocol, hardened_http_protocol

GET: Final = b"GET /echo?%d HTTP/1.1\r\nHost: x\r\n\r\n"
LAST: Final = b"GET /echo?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
Talk = Callable[[bytes], Awaitable[bytes]]


async def echo(request: Request) -> Response:
    body = await request.body()
    headers = {name: value for name, value in request.headers.items() if name.startswith("x-")}
    return JSONResponse({"query": request.url.query, "body": body.decode(), "headers": headers})


APP: Final = Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])])


def on_both_loops(test: Callable[[], Awaitable[None]]) -> Any:
    """Run the test without anything of pytest's own loop."""

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def run(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(test())  # type: ignore[arg-type]

    run.__name__ = test.__name__
    return run


@asynccontextmanager
async def talking(app: Starlette = APP, http: type[HardenedHttpProtocol] | None = None) -> AsyncIterator[Talk]:
    async with listening(app, http or hardened_http_protocol(5)) as address:

        async def talk(sent: bytes) -> bytes:
            """All that is answered until the server ends the connection."""
            reader, writer = await asyncio.open_connection(*address.split(":"))
            try:
                writer.write(sent)
                async with asyncio.timeout(10):
                    return await reader.read()
            finally:
                writer.transport.abort()

        yield talk


def bodies(said: bytes) -> list[dict[str, Any]]:
    """Of all answers on a connection, in order."""
    found, decode, text = [], json.JSONDecoder().raw_decode, said.decode()
    at = text.find("{")
    while at >= 0:
        body, end = decode(text, at)
        found.append(body)
        at = text.find("{", end)
    return found


def test_the_subclass_is_made_for_this_version_of_uvicorn() -> None:
    """It overrides private methods: look at every one of them before this number is changed."""
    assert version("uvicorn") == "0.54.0"


@on_both_loops
async def test_requests_that_are_sent_ahead_are_answered_in_order() -> None:
    async with talking() as talk:
        said = await talk(b"".join(GET % number for number in range(1000)) + LAST)

    assert [body["query"] for body in bodies(said)] == [*map(str, range(1000)), "last"]


@on_both_loops
async def test_no_more_is_read_from_a_client_that_sends_ahead_of_an_unanswered_request() -> None:
    done = asyncio.Event()

    async def slow(request: Request) -> Response:
        await request.body()
        await done.wait()
        return Response()

    async with listening(Starlette(routes=[Route("/echo", slow)]), hardened_http_protocol(5)) as address:
        _, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(GET % 1 * 1_000_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 1)
        writer.transport.abort()
        done.set()


@on_both_loops
async def test_a_trailer_is_no_header() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with talking() as talk:
        said = await talk(head + b"5\r\nhello\r\n0\r\nX-B: 2\r\n\r\n")

    assert bodies(said) == [{"query": "", "body": "hello", "headers": {"x-a": "1"}}]


@on_both_loops
async def test_the_body_of_a_request_that_offers_http_2_is_its_body_and_no_request() -> None:
    body = GET % 666
    offer = b"POST /echo?1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    async with talking() as talk:
        said = await talk(offer + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) + LAST)

    assert [(one["query"], one["body"]) for one in bodies(said)] == [("1", body.decode()), ("last", "")]


@on_both_loops
async def test_what_cannot_be_read_behind_a_good_request_ends_the_connection_after_its_answer() -> None:
    async with talking() as talk:
        said = await talk(GET % 1 + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + GET % 2)

    assert [body["query"] for body in bodies(said)] == ["1"]


@on_both_loops
async def test_a_stream_ends_when_its_client_leaves_also_with_a_request_behind_it() -> None:
    ended = asyncio.Event()

    async def stream(_: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b":\n\n"
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        return StreamingResponse(events())

    async with listening(Starlette(routes=[Route("/", stream)]), hardened_http_protocol(5)) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        await reader.readuntil(b":\n\n")
        writer.transport.abort()

        async with asyncio.timeout(10):
            await ended.wait()


@on_both_loops
async def test_an_accepted_connection_sends_without_delay() -> None:
    accepted: list[socket.socket] = []

    class Watched(HardenedHttpProtocol):
        def connection_made(self, transport: Any) -> None:
            accepted.append(transport.get_extra_info("socket"))
            super().connection_made(transport)

    async with talking(http=Watched) as talk:
        assert await talk(LAST)
        no_delay = [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in accepted if each.fileno() >= 0]

    assert set(no_delay) <= {1}


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /echo HTTP/1.1\nHost: x\n\n",
    ],
)
async def test_a_head_that_proxies_read_in_two_ways_is_refused(head: bytes) -> None:
    async with talking() as talk:
        said = await talk(head + LAST)

    assert said.startswith(b"HTTP/1.1 400 ")
    assert len(bodies(said)) == 1
