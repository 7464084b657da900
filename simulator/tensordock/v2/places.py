"""`/auth/test`, `/locations` and `/hostnodes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from simulator.faults import Api, Call, FaultKind, Faults, Operation
from simulator.hostnodes.catalog import Hostnode
from simulator.hostnodes.stock import Free, Stock
from simulator.tensordock.v2 import shapes
from simulator.tensordock.v2.words import BASE, DIALECT, Authentication
from simulator.tensordock.wire import Answer

ORGANIZATION: Final = "4d0c7a52-0000-4000-8000-00000000a001"


class Places:
    """The rentable hardware. Filters in the query are ignored, as at the vendor."""

    def __init__(self, stock: Stock, faults: Faults, authentication: Authentication) -> None:
        self._stock = stock
        self._faults = faults
        self._authentication = authentication

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post(f"{BASE}/auth/test", self.test_credentials)
        router.add_get(f"{BASE}/locations", self.list_locations)
        router.add_get(f"{BASE}/hostnodes", self.list_hostnodes)
        router.add_get(f"{BASE}/hostnodes/{{id}}", self.get_hostnode)

    async def test_credentials(self, request: web.Request) -> web.StreamResponse:
        async def act() -> Answer:
            return Answer({"success": True, "organizationId": ORGANIZATION})

        return await self._authentication.answer(request, Call(Operation.AUTH, Api.V2), act)

    async def list_locations(self, request: web.Request) -> web.StreamResponse:
        call = Call(Operation.LOCATIONS, Api.V2)

        async def act() -> Answer:
            return Answer(shapes.locations(self._hosts(call), self._free_of(call)))

        return await self._authentication.answer_anyone(request, call, act)

    async def list_hostnodes(self, request: web.Request) -> web.StreamResponse:
        call = Call(Operation.HOSTNODES, Api.V2)

        async def act() -> Answer:
            free = self._free_of(call)
            return Answer({"data": {"hostnodes": [shapes.hostnode(host, free(host.id)) for host in self._hosts(call)]}})

        return await self._authentication.answer(request, call, act)

    async def get_hostnode(self, request: web.Request) -> web.StreamResponse:
        call = Call(Operation.HOSTNODE, Api.V2, request.match_info["id"])

        async def act() -> Answer:
            host = self._stock.hostnodes.get(request.match_info["id"])
            if host is None or not host.rentable:
                return DIALECT.refusal(404, "Hostnode not found")
            return Answer({"data": shapes.hostnode(host, self._free_of(call)(host.id))})

        return await self._authentication.answer(request, call, act)

    def _hosts(self, call: Call) -> list[Hostnode]:
        if self._faults.take({FaultKind.EMPTY_STOCK}, call):
            return []
        return [host for host in self._stock.hostnodes.values() if host.rentable]

    def _free_of(self, call: Call) -> Callable[[str], Free]:
        return self._stock.untouched if self._faults.take({FaultKind.STALE_STOCK}, call) else self._stock.free
