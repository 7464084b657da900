"""TensorDock on loopback, for tests: keeps instances in memory, and answers in every odd way it is told to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "canary-token-4f1c"
KEY = "8a1c9c2e-canary-key"
HTML = "<!DOCTYPE html><html><body>Bad gateway</body></html>"

LOCATION = {
    "uuid": "8f1b2c3d-0000-4000-8000-000000000010",
    "city": "Joplin",
    "stateprovince": "Missouri",
    "country": "United States",
}
HOSTNODE = {
    "id": "5a6b7c8d-0000-4000-8000-000000000011",
    "location_id": LOCATION["uuid"],
    "engine": "kvm",
    "uptime_percentage": 99.93,
    "available_resources": {
        "gpus": [{"v0Name": "geforcertx4090-pcie-24gb", "availableCount": 2, "price_per_hr": 0.44}],
        "vcpu_count": 44,
        "ram_gb": 180,
        "storage_gb": 5400,
        "max_vcpus_per_gpu": 8,
        "max_ram_per_gpu": 36,
        "max_vcpus": 44,
        "max_ram_gb": 180,
        "max_storage_gb": 5400,
        "available_ports": [30118, 30117, 30116],
        "has_public_ip_available": True,
    },
    "pricing": {"per_vcpu_hr": 0.003, "per_gb_ram_hr": 0.002, "per_gb_storage_hr": 0.00005},
    "location": LOCATION,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A scripted answer. `held`: not before this event. `done`: the request is carried out before it.
    `truly`: it is carried out and answered as ever. `cut`: the connection breaks instead."""

    status: int = 200
    body: Any = None
    done: bool = False
    cut: bool = False
    truly: bool = False
    held: asyncio.Event | None = None
    headers: dict[str, str] = field(default_factory=dict)


class StandIn:
    """`script` gives the next answers to a kind of request; `list_shape` is one of "flat", "enveloped", "attributes";
    a new instance is missing in as many listings as `hidden_listings` says."""

    def __init__(self) -> None:
        self.url = ""
        self.hostnodes: list[Any] = [HOSTNODE]
        self.instances: dict[str, dict[str, Any]] = {}
        self.balance: Any = 25.5
        self.list_shape = "enveloped"
        self.wrapped = False
        self.hidden_listings = 0
        self.knows_v0 = True
        self.asked: Counter[str] = Counter()
        self.orders: list[dict[str, Any]] = []
        self.authorizations: set[str] = set()
        self._arrival = asyncio.Condition()
        self._scripts: defaultdict[str, deque[Said]] = defaultdict(deque)
        self._made = 0

    def script(self, kind: str, *answers: Said) -> None:
        """A cut question is cut twice: aiohttp asks what may be repeated once more by itself, but never a POST."""
        for said in answers:
            repeated = said.cut and kind in ("hostnodes", "locations", "list", "get", "delete")
            self._scripts[kind].extend([said, said] if repeated else [said])

    async def arrived(self, kind: str, times: int = 1) -> None:
        """Until so many requests of this kind have come in."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: self.asked[kind] >= times)

    def put(self, name: str, status: str = "running", **fields: Any) -> str:
        """An instance that was always there."""
        self._made += 1
        instance_id = f"468b716a-0000-4000-8000-{self._made:012d}"
        self.instances[instance_id] = {
            "type": "virtualmachine",
            "id": instance_id,
            "name": name,
            "status": status,
            "ipAddress": f"203.0.113.{self._made}",
            "portForwards": [],
            "rateHourly": 0.474,
            "hidden": 0,
            **fields,
        }
        return instance_id

    def named(self, name: str) -> list[str]:
        return [key for key, instance in self.instances.items() if instance["name"] == name]

    def application(self) -> web.Application:
        app = web.Application()
        v2 = {
            ("GET", "hostnodes"): "hostnodes",
            ("GET", "locations"): "locations",
            ("GET", "instances"): "list",
            ("POST", "instances"): "create",
            ("GET", "instances/{id}"): "get",
            ("DELETE", "instances/{id}"): "delete",
            ("POST", "instances/{id}/start"): "start",
            ("POST", "instances/{id}/stop"): "stop",
        }
        v0 = {"auth/test": "auth", "billing/balance": "balance", "client/stop/single": "free"}
        for (method, path), kind in v2.items():
            app.router.add_route(method, f"/api/v2/{path}", self._answering(kind))
        for path, kind in v0.items():
            app.router.add_post(f"/api/v0/{path}", self._answering(kind))
        return app

    def _answering(self, kind: str) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            async with self._arrival:
                self.asked[kind] += 1
                self._arrival.notify_all()
            self.authorizations.add(request.headers.get("Authorization", ""))
            said = self._scripts[kind].popleft() if self._scripts[kind] else None
            if said is None:
                return _response(*await self._carry_out(kind, request))
            if said.done:
                await self._carry_out(kind, request)
            if said.held is not None:
                await said.held.wait()
            if said.truly:
                return _response(*await self._carry_out(kind, request))
            if said.cut:
                assert request.transport is not None
                request.transport.abort()
            return _response(said.status, said.body, said.headers)

        return answer

    async def _carry_out(self, kind: str, request: web.Request) -> tuple[int, Any]:
        does: Callable[[Any], tuple[int, Any]] = getattr(self, f"_{kind}")
        if kind in ("auth", "balance", "free"):
            form = await request.post()
            if (form.get("api_key"), form.get("api_token")) != (KEY, TOKEN):
                return 200, {"success": False, "error": "Invalid API key"}
            return does(form)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": "Unauthorized"}
        if kind == "create":
            return self._create(json.loads(await request.read()))
        return does(request.match_info.get("id"))

    def _hostnodes(self, _: None) -> tuple[int, Any]:
        return 200, {"data": {"hostnodes": self.hostnodes}}

    def _locations(self, _: None) -> tuple[int, Any]:
        return 200, {"data": {"locations": [{**LOCATION, "id": LOCATION["uuid"], "tier": 1, "gpus": []}]}}

    def _list(self, _: None) -> tuple[int, Any]:
        shown = [instance for instance in self.instances.values() if instance["hidden"] == 0]
        for instance in self.instances.values():
            instance["hidden"] = max(0, instance["hidden"] - 1)
        return 200, in_list_shape(self.list_shape, shown)

    def _create(self, body: Any) -> tuple[int, Any]:
        attributes = body["data"]["attributes"]
        self.orders.append(attributes)
        key = self.put(attributes["name"], hidden=self.hidden_listings)
        return 201, {"data": {"type": "virtualmachine", "id": key, "name": attributes["name"], "status": "running"}}

    def _get(self, key: str) -> tuple[int, Any]:
        if key not in self.instances:
            return 404, {"error": "Instance not found"}
        return 200, {"data": self.instances[key]} if self.wrapped else self.instances[key]

    def _delete(self, key: str) -> tuple[int, Any]:
        if self.instances.pop(key, None) is None:
            return 404, {"error": "Instance not found"}
        return 200, {"data": {"type": "success", "attributes": {"message": "Instance deleted successfully"}}}

    def _start(self, key: str) -> tuple[int, Any]:
        return self._move(key, "starting")

    def _stop(self, key: str) -> tuple[int, Any]:
        return self._move(key, "stopping")

    def _move(self, key: str, status: str) -> tuple[int, Any]:
        if key not in self.instances:
            return 404, {"error": "Instance not found"}
        self.instances[key]["status"] = status
        return 200, {"data": {"type": "instance", "id": key, "attributes": {"status": status}}}

    def _auth(self, _: Any) -> tuple[int, Any]:
        return 200, {"success": True}

    def _balance(self, _: Any) -> tuple[int, Any]:
        return 200, {"balance": self.balance, "hourly_cost": 0.856, "success": True}

    def _free(self, form: Any) -> tuple[int, Any]:
        if not self.knows_v0 or form["server"] not in self.instances:
            return 200, {"success": False, "error": "Server not found"}
        assert form["disassociate_resources"] == "true"
        self.instances[form["server"]]["status"] = "stoppeddisassociated"
        return 200, {"success": True}


def in_list_shape(shape: str, instances: list[dict[str, Any]]) -> Any:
    """The three documented forms of the list, and its bare and mapped relatives."""
    short = [
        {"type": "VM", "id": item["id"], "attributes": {k: item[k] for k in ("name", "status")}} for item in instances
    ]
    return {
        "enveloped": {"data": {"instances": short}},
        "attributes": {"data": {"attributes": {"instances": instances}}},
        "flat": {"data": instances},
        "bare": {"instances": instances},
        "array": instances,
        "map": {"data": {"instances": {item["id"]: {k: item[k] for k in ("name", "status")} for item in instances}}},
    }[shape]


@asynccontextmanager
async def running(stand_in: StandIn) -> AsyncIterator[StandIn]:
    runner = web.AppRunner(stand_in.application(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stand_in
    finally:
        await runner.cleanup()


def _response(status: int, body: Any, headers: dict[str, str] | None = None) -> web.Response:
    if body is None:
        return web.Response(status=status, headers=headers)
    if isinstance(body, str):
        return web.Response(status=status, text=body, content_type="text/html", headers=headers)
    return web.json_response(body, status=status, headers=headers)
