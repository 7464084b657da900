"""Endpoints to which a browser measures round trips, each with a delay that is set through the control endpoint."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import web

_LONGEST_MS: Final = 10_000.0
_ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", "Timing-Allow-Origin": "*"}


class Probes:
    """`GET /ping/<site>` answers after the delay of that site; 404 for a site without one."""

    def __init__(self) -> None:
        self.delays_ms: dict[str, float] = {}

    def add_routes(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_get("/ping/{site}", self.answer)
        router.add_get(f"{base}/probes", self.list)
        router.add_put(f"{base}/probes", self.set)

    async def answer(self, request: web.Request) -> web.Response:
        delay_ms = self.delays_ms.get(request.match_info["site"])
        if delay_ms is None:
            return web.Response(status=404, headers=_ANY_ORIGIN)
        await asyncio.sleep(delay_ms / 1000)
        return web.Response(status=204, headers=_ANY_ORIGIN)

    async def list(self, _: web.Request) -> web.Response:
        return web.json_response({"probes": self.delays_ms})

    async def set(self, request: web.Request) -> web.Response:
        """Set the delays in milliseconds by site: `{"us-central1": 20}`."""
        try:
            body = json.loads(await request.text())
            delays_ms = {str(site): float(delay_ms) for site, delay_ms in dict(body).items()}
        except (ValueError, TypeError):
            return web.json_response({"error": "the body must be delays in milliseconds by site"}, status=400)
        if not all(0 <= delay_ms <= _LONGEST_MS for delay_ms in delays_ms.values()):
            return web.json_response({"error": f"a delay is 0 to {_LONGEST_MS:g} milliseconds"}, status=400)
        self.delays_ms = delays_ms
        return await self.list(request)
