"""`/client/...`: hostnodes and machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from simulator.clock import Clock
from simulator.faults import Api, Call, FaultKind, Faults, Operation
from simulator.hostnodes.catalog import Hostnode
from simulator.hostnodes.stock import Free
from simulator.tensordock.cloud import Cloud, NoSuchInstanceError
from simulator.tensordock.instances import Instance
from simulator.tensordock.lives import SLOW_DELETE_S
from simulator.tensordock.v0 import shapes
from simulator.tensordock.v0.words import BASE, DIALECT, Authentication, Form
from simulator.tensordock.wire import Answer, html_page

SUCCESS: Final = Answer({"success": True})


class Machines:
    """The handlers. Refusals get their words from `authentication`. Machines of both versions are the same ones."""

    def __init__(self, cloud: Cloud, faults: Faults, authentication: Authentication, clock: Clock) -> None:
        self._cloud = cloud
        self._faults = faults
        self._authentication = authentication
        self._clock = clock

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(f"{BASE}/client/deploy/hostnodes", self.list_hostnodes)
        router.add_get(f"{BASE}/client/deploy/hostnodes/{{id}}", self.get_hostnode)
        router.add_post(f"{BASE}/client/deploy/single", self.deploy)
        router.add_post(f"{BASE}/client/list", self.list_all)
        router.add_post(f"{BASE}/client/get/single", self.get)
        router.add_post(f"{BASE}/client/start/single", self.start)
        router.add_post(f"{BASE}/client/stop/single", self.stop)
        router.add_post(f"{BASE}/client/delete/single", self.delete)

    async def list_hostnodes(self, request: web.Request) -> web.StreamResponse:
        call = Call(Operation.HOSTNODES, Api.V0)

        async def act(form: Form) -> Answer:
            free = self._free_of(call)
            shown = [host for host in self._hosts(call, form) if shapes.meets(host, free(host.id), form)]
            return Answer(
                {"hostnodes": {host.id: shapes.hostnode(host, free(host.id)) for host in shown}, "success": True}
            )

        return await self._authentication.answer(request, lambda _: call, act, anyone=True)

    async def get_hostnode(self, request: web.Request) -> web.StreamResponse:
        call = Call(Operation.HOSTNODE, Api.V0, request.match_info["id"])

        async def act(_: Form) -> Answer:
            host = self._cloud.stock.hostnodes.get(request.match_info["id"])
            if host is None:
                return DIALECT.refusal(404, "Hostnode not found")
            return Answer({"success": True, "hostnode": shapes.hostnode(host, self._free_of(call)(host.id))})

        return await self._authentication.answer(request, lambda _: call, act, anyone=True)

    async def deploy(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page instead of a machine: orders by version 0 have long been broken at the vendor."""
        return html_page(500)

    async def list_all(self, request: web.Request) -> web.StreamResponse:
        async def act(_: Form) -> Answer:
            seen = [one for one in self._cloud.listed() if self._is_seen(one)]
            machines = shapes.virtual_machines(seen, self._cloud.stock.hostnodes)
            return Answer({"success": True, "virtualmachines": machines})

        return await self._authentication.answer(request, lambda _: Call(Operation.LIST, Api.V0), act)

    async def get(self, request: web.Request) -> web.StreamResponse:
        async def act(form: Form) -> Answer:
            instance = self._instance(form)
            machine = shapes.virtual_machine(instance, self._cloud.stock.hostnodes[instance.hostnode_id])
            return Answer({"success": True, "virtualmachines": machine})

        return await self._authentication.answer(request, self._call_for(Operation.GET), act)

    async def start(self, request: web.Request) -> web.StreamResponse:
        async def act(form: Form) -> Answer:
            self._cloud.start(self._instance(form).id)
            return SUCCESS

        return await self._authentication.answer(request, self._call_for(Operation.START), act)

    async def stop(self, request: web.Request) -> web.StreamResponse:
        async def act(form: Form) -> Answer:
            release = form.get("disassociate_resources", "").lower() == "true"
            self._cloud.stop(self._instance(form).id, release=release)
            return SUCCESS

        return await self._authentication.answer(request, self._call_for(Operation.STOP), act)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        call_for = self._call_for(Operation.DELETE)

        async def act(form: Form) -> Answer:
            fault = self._faults.take({FaultKind.SLOW_DELETE}, call_for(form))
            takes_s = fault.simulated_s(self._clock, SLOW_DELETE_S) if fault else None
            self._cloud.delete(self._instance(form).id, takes_s=takes_s)
            return SUCCESS

        return await self._authentication.answer(request, call_for, act)

    def _call_for(self, operation: Operation) -> Callable[[Form], Call]:
        def call(form: Form) -> Call:
            instance = self._cloud.instances.get(form.get("server", ""))
            if instance is None:
                return Call(operation, Api.V0, machine_id=form.get("server"))
            return Call(operation, Api.V0, instance.hostnode_id, instance.id, instance.name)

        return call

    def _instance(self, form: Form) -> Instance:
        instance = self._cloud.instance(form.get("server", ""))
        if not self._is_seen(instance):
            raise NoSuchInstanceError
        return instance

    def _is_seen(self, instance: Instance) -> bool:
        """Return whether version 0 shows a machine; a fault hides those that version 2 made."""
        call = Call(Operation.GET, Api.V0, instance.hostnode_id, instance.id, instance.name)
        return not self._faults.take({FaultKind.V0_BLIND}, call)

    def _hosts(self, call: Call, form: Form) -> list[Hostnode]:
        if self._faults.take({FaultKind.EMPTY_STOCK}, call):
            return []
        ours = self._authentication.knows(form)
        return [host for host in self._cloud.stock.hostnodes.values() if ours or not host.status["reserved"]]

    def _free_of(self, call: Call) -> Callable[[str], Free]:
        return (
            self._cloud.stock.untouched if self._faults.take({FaultKind.STALE_STOCK}, call) else self._cloud.stock.free
        )
