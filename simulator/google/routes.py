"""The routes of the imitated CloudyPad to the machines, and those for faults of the cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator.google.compute import CloudError, GoogleMachines, Server
from simulator.google.interruptions import Interruptions
from simulator.machines.pool import MachinePark

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,61}")
ORDER_KEYS = ("name", "user", "public_key", "projectId", "zone", "machineType", "acceleratorType", "useSpot")

Handler = Callable[[web.Request], Awaitable[web.Response]]


class GoogleRoutes:
    """Routes below `<control>/gcp`. A call ends when its work is done; a refusal is 409 with the cloud's words."""

    def __init__(self, machines: GoogleMachines, park: MachinePark, interruptions: Interruptions) -> None:
        self.machines = machines
        self._park = park
        self._steps: dict[str, Callable[[str], Awaitable[None]]] = {
            "start": machines.start,
            "stop": machines.stop,
            "restart": self._restart,
            "image": machines.image,
            "snapshot": machines.snapshot,
            "give-up": machines.give_up,
            "vanish": machines.vanish,
            "preempt": interruptions.preempt,
            "preempt-without-notice": interruptions.preempt_without_notice,
            "announce-maintenance": interruptions.announce_maintenance,
            "call-off-maintenance": interruptions.call_off_maintenance,
            "maintain": interruptions.maintain,
            "let-metadata-fail": interruptions.let_metadata_fail,
            "silence-metadata": interruptions.silence_metadata,
            "let-metadata-speak": interruptions.let_metadata_speak,
        }

    def add_routes(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_get(f"{base}/gcp/machines", _errors_as_json(self._list))
        router.add_post(f"{base}/gcp/machines", _errors_as_json(self._make))
        router.add_get(f"{base}/gcp/machines/{{name}}", _errors_as_json(self._get))
        router.add_delete(f"{base}/gcp/machines/{{name}}", _errors_as_json(self._delete))
        router.add_post(f"{base}/gcp/machines/{{name}}/{{step}}", _errors_as_json(self._step))
        router.add_get(f"{base}/gcp/lives", _errors_as_json(self._lives))
        router.add_post(f"{base}/gcp/full-zones", _errors_as_json(self._fill_zones))
        router.add_post(f"{base}/gcp/quotas", _errors_as_json(self._use_up_quotas))
        router.add_post(f"{base}/gcp/reset", _errors_as_json(self._reset))

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"machines": [self._described(server) for server in self.machines.all()]})

    async def _make(self, request: web.Request) -> web.Response:
        order = await _body(request)
        missing = [key for key in ORDER_KEYS if key not in order]
        if missing or not NAME.fullmatch(str(order["name"])):
            raise CloudError(f"Invalid value for field 'resource.{missing[0] if missing else 'name'}'")
        return web.json_response(self._described(await self.machines.make(order)))

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._described(self.machines.find(request.match_info["name"])))

    async def _delete(self, request: web.Request) -> web.Response:
        await self.machines.delete(request.match_info["name"])
        return web.json_response({})

    async def _lives(self, _: web.Request) -> web.Response:
        return web.json_response({"lives": self.machines.lives.told()})

    async def _step(self, request: web.Request) -> web.Response:
        step = self._steps.get(request.match_info["step"])
        if not step:
            raise CloudError("no such step")
        await step(request.match_info["name"])
        return web.json_response({"done": True})

    async def _restart(self, name: str) -> None:
        await self.machines.stop(name)
        await self.machines.start(name)

    async def _fill_zones(self, request: web.Request) -> web.Response:
        """Let zones run out of machines: `{"zones": [...]}`. An empty list frees all."""
        zones = (await _body(request)).get("zones", [])
        self.machines.full_zones = {str(zone) for zone in zones}
        return web.json_response({"zones": sorted(self.machines.full_zones)})

    async def _use_up_quotas(self, request: web.Request) -> web.Response:
        """Use up quotas: `{"quotas": [{"name": "NVIDIA_L4_GPUS", "region": "us-central1"}]}`.

        Without a region the quota is used up in the whole project. An empty list frees all.
        """
        quotas = (await _body(request)).get("quotas", [])
        self.machines.quotas_used_up = [(str(one["name"]), one.get("region")) for one in quotas]
        return web.json_response({"quotas": quotas})

    async def _reset(self, _: web.Request) -> web.Response:
        await self.machines.reset()
        return web.json_response({"machines": []})

    def _described(self, server: Server) -> dict[str, Any]:
        described: dict[str, Any] = {
            **{"name": server.name, "id": server.id, "status": server.status, "zone": server.zone},
            **{"machine_type": server.machine_type, "spot": server.spot, "labels": server.labels},
        }
        if server.exists:
            address = self._park.address(server.id)
            described |= {"ip": address.ip, "ports": {str(inside): out for inside, out in address.ports.items()}}
        return described


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise CloudError("the body must be a JSON object")
    return body


def _errors_as_json(handler: Handler) -> Handler:
    async def explained(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except CloudError as error:
            return web.json_response({"error": str(error)}, status=409)

    return explained
