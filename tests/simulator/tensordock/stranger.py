"""A simulated TensorDock with toy machines, and a stranger who speaks to it with nothing but HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from simulator.clock import Clock
from simulator.control import Control
from simulator.tensordock.service import Customer, TensorDock
from tests.simulator.tensordock.toy_park import ToyPark

KEY, TOKEN = "11111111-0000-4000-8000-000000000001", "token-of-the-tests"
PAIR = {"api_key": KEY, "api_token": TOKEN}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhYiBrZXkgb2YgdGhlIHRlc3RzISEhISEhISEhISEh tests"
GPU = "geforcertx4090-pcie-24gb"
WITHIN_S = 4.0


@dataclass
class Reply:
    """An answer with its body read: `json` is None when it was none."""

    status: int
    json: Any
    text: str
    headers: Mapping[str, str]

    @property
    def taken(self) -> bool:
        """Whether an order was taken: a refusal can be a 200, too."""
        return self.status in (200, 201) and "data" in self.json


@dataclass
class World:
    """The stranger. Its verbs are HTTP's; what it waits for it asks for again and again."""

    url: str
    http: aiohttp.ClientSession
    park: ToyPark
    tensordock: TensorDock

    async def v2(self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] = BEARER) -> Reply:
        return await self._reply(method, f"/api/v2{path}", json=body, headers=headers)

    async def v0(self, path: str, **fields: str) -> Reply:
        return await self._reply("POST", f"/api/v0{path}", data=PAIR | fields)

    async def v0_get(self, path: str, **query: str) -> Reply:
        return await self._reply("GET", f"/api/v0{path}", params=query)

    async def control(self, method: str, path: str, body: object = None) -> Reply:
        return await self._reply(method, f"/_control{path}", json=body)

    async def fault(self, kind: str, **parts: object) -> dict[str, Any]:
        reply = await self.control("POST", "/faults", {"kind": kind, **parts})
        assert reply.status in (200, 201), reply.text
        return dict(reply.json)

    async def hostnodes(self) -> dict[str, Any]:
        reply = await self.v2("GET", "/hostnodes")
        return {host["id"]: host for host in reply.json["data"]["hostnodes"]}

    async def host_in(self, city: str) -> dict[str, Any]:
        """The hostnode of that city with an RTX 4090."""
        return next(
            host
            for host in (await self.hostnodes()).values()
            if host["location"]["city"] == city and any(g["v0Name"] == GPU for g in host["available_resources"]["gpus"])
        )

    async def order(self, name: str = "gamer-1", city: str = "Dallas", **changes: object) -> Reply:
        return await self.v2("POST", "/instances", order(name, (await self.host_in(city))["id"], **changes))

    async def rented(self, name: str = "gamer-1", city: str = "Dallas", **changes: object) -> str:
        reply = await self.order(name, city, **changes)
        assert reply.taken, reply.text
        return str(reply.json["data"]["id"])

    async def running(self, name: str = "gamer-1", city: str = "Dallas") -> str:
        """A machine that has booted."""
        machine_id = await self.rented(name, city)
        await self.until(lambda: self._is_on(machine_id))
        return machine_id

    async def status_of(self, machine_id: str) -> str:
        reply = await self.v2("GET", f"/instances/{machine_id}")
        return str(reply.json["status"]) if reply.status == 200 else "gone"

    async def until_status(self, machine_id: str, status: str) -> None:
        async def reached() -> bool:
            return await self.status_of(machine_id) == status

        await self.until(reached)

    async def until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not await reached():
            assert time.monotonic() < deadline, "it never came to that"
            await asyncio.sleep(0.005)

    async def listed(self) -> set[str]:
        reply = await self.v2("GET", "/instances")
        return {item["id"] for item in reply.json["data"]["instances"]}

    async def machines(self) -> list[dict[str, Any]]:
        return list((await self.control("GET", "/machines")).json["machines"])

    async def _is_on(self, machine_id: str) -> bool:
        return machine_id in self.park.on

    async def _reply(self, method: str, path: str, **more: Any) -> Reply:
        async with self.http.request(method, self.url + path, **more) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return Reply(
                response.status,
                await response.json() if is_json else None,
                body.decode(errors="replace"),
                response.headers,
            )


def order(name: str, hostnode_id: str, /, **changes: object) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "name": name,
        "type": "virtualmachine",
        "image": "ubuntu2404",
        "resources": {"vcpu_count": 8, "ram_gb": 16, "storage_gb": 200, "gpus": {GPU: {"count": 1}}},
        "hostnode_id": hostnode_id,
        "useDedicatedIp": True,
        "ssh_key": PUBLIC_KEY,
    }
    attributes |= changes
    return {"data": {"type": "virtualmachine", "attributes": {k: v for k, v in attributes.items() if v is not None}}}


@asynccontextmanager
async def opened(
    folder: Path, *, factor: float = 1000, seed: int = 1, ports: Mapping[int, int] | None = None
) -> AsyncIterator[World]:
    clock, park = Clock(factor), ToyPark(folder, ports)
    await park.restore()
    tensordock = TensorDock(folder, park, clock, Customer(KEY, TOKEN, Decimal(100)), seed=seed)
    app = web.Application()
    tensordock.add_routes(app.router)
    Control(tensordock, clock).add_routes(app.router)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await tensordock.start()
        stack.push_async_callback(tensordock.close)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN_S)))
        yield World(f"http://127.0.0.1:{runner.addresses[0][1]}", http, park, tensordock)
