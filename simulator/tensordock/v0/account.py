"""`/auth/...` and `/billing/balance`."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from aiohttp import web

from simulator.faults import Api, Call, Operation
from simulator.tensordock.cloud import Cloud
from simulator.tensordock.v0.words import BASE, Authentication, Form
from simulator.tensordock.wire import Answer

SHOWN_TO_USD: Final = Decimal("0.000001")


class Account:
    """The account of the caller: its credentials and its balance."""

    def __init__(self, cloud: Cloud, authentication: Authentication) -> None:
        self._cloud = cloud
        self._authentication = authentication

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post(f"{BASE}/auth/test", self.test_credentials)
        router.add_post(f"{BASE}/auth/list", self.list_authorizations)
        router.add_post(f"{BASE}/billing/balance", self.balance)

    async def test_credentials(self, request: web.Request) -> web.StreamResponse:
        async def act(_: Form) -> Answer:
            return Answer({"success": True})

        return await self._authentication.answer(request, lambda _: Call(Operation.AUTH, Api.V0), act)

    async def list_authorizations(self, request: web.Request) -> web.StreamResponse:
        async def act(_: Form) -> Answer:
            gateway = {"permissions": "All", "timestamp_creation": "2026-01-02 14:05:11.120334", "note": ""}
            return Answer({"success": True, "authorizations": {"gateway": gateway}})

        return await self._authentication.answer(request, lambda _: Call(Operation.AUTH, Api.V0), act)

    async def balance(self, request: web.Request) -> web.StreamResponse:
        async def act(_: Form) -> Answer:
            left = self._cloud.balance_usd().quantize(SHOWN_TO_USD)
            return Answer({"balance": left, "hourly_cost": self._cloud.usd_per_hour_now(), "success": True})

        return await self._authentication.answer(request, lambda _: Call(Operation.BALANCE, Api.V0), act)
