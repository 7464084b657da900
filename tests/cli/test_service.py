"""How the client loads files: it waits as long as they arrive."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from cli.gamer_cli.credentials import Credentials
from cli.gamer_cli.service import Service

WITHIN_S = 0.2


async def a_slow_file(request: web.Request) -> web.StreamResponse:
    """Answer with three pieces that together take longer than a request may take."""
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in (b"a", b"b", b"c"):
        await response.write(piece)
        await asyncio.sleep(WITHIN_S / 2)
    return response


async def test_a_file_may_take_longer_to_arrive_than_the_answer_to_a_question() -> None:
    app = web.Application()
    app.router.add_get("/file", a_slow_file)
    within = aiohttp.ClientTimeout(total=WITHIN_S)
    async with TestServer(app) as server, aiohttp.ClientSession(timeout=within) as session:
        service = Service(Credentials(str(server.make_url("")).rstrip("/"), "token"), session)

        exported = b"".join([piece async for piece in service.download("/file")])
        saved = b"".join([piece async for piece in service.fetch(str(server.make_url("/file")))])

    assert (exported, saved) == (b"abc", b"abc")
