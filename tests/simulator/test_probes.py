"""The endpoints to which a browser measures round trips."""

from __future__ import annotations

from time import monotonic

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from simulator.probes import Probes


async def test_an_endpoint_answers_any_page_after_its_delay_and_unknown_ones_do_not() -> None:
    app = web.Application()
    Probes().add_routes(app.router, "/_control")
    async with TestClient(TestServer(app)) as client:
        await client.put("/_control/probes", json={"us-central1": 60, "near": 0})
        begun = monotonic()
        far = await client.get("/ping/us-central1")
        took_s = monotonic() - begun
        unknown = await client.get("/ping/europe-west1")
        bad = await client.put("/_control/probes", json={"near": -1})

    assert (far.status, far.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert took_s >= 0.06
    assert (unknown.status, bad.status) == (404, 400)
