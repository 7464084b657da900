"""`/instances`: machines, from order to deletion."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from simulator.clock import Clock
from simulator.faults import OF_NEW_MACHINES, Api, Call, FaultKind, FaultOrder, Faults, ListShape, Operation
from simulator.hostnodes.stock import Claim
from simulator.tensordock.cloud import Cloud
from simulator.tensordock.lives import SLOW_DELETE_S
from simulator.tensordock.ordering import OrderedFaults
from simulator.tensordock.orders import order_from, resize_from
from simulator.tensordock.random_failures import RandomFailures
from simulator.tensordock.v2 import shapes
from simulator.tensordock.v2.words import BASE, Authentication, json_body, member, success
from simulator.tensordock.wire import Answer

# How long an ordered fault of a machine lasts, in simulated seconds, when its order does not say.
LASTS_S: Final = {FaultKind.SLOW_BOOT: 600.0, FaultKind.LIST_LAG: 30.0}


class Instances:
    """The handlers. Refusals get their words from `authentication`."""

    def __init__(
        self,
        cloud: Cloud,
        faults: Faults,
        authentication: Authentication,
        random_failures: RandomFailures,
        clock: Clock,
    ) -> None:
        self._cloud = cloud
        self._faults = faults
        self._authentication = authentication
        self._random_failures = random_failures
        self._clock = clock

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(f"{BASE}/instances", self.list_all)
        router.add_post(f"{BASE}/instances", self.create)
        router.add_get(f"{BASE}/instances/{{id}}", self.get)
        router.add_delete(f"{BASE}/instances/{{id}}", self.delete)
        router.add_post(f"{BASE}/instances/{{id}}/start", self.start)
        router.add_post(f"{BASE}/instances/{{id}}/stop", self.stop)
        router.add_put(f"{BASE}/instances/{{id}}/modify", self.modify)

    async def list_all(self, request: web.Request) -> web.StreamResponse:
        call = Call(Operation.LIST, Api.V2)

        async def act() -> Answer:
            fault = self._faults.take({FaultKind.LIST_SHAPE}, call)
            return Answer(shapes.instance_list(self._cloud.listed(), (fault and fault.shape) or ListShape.ENVELOPED))

        return await self._authentication.answer(request, call, act)

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        name, hostnode_id = (member(body, "data", "attributes", part) for part in ("name", "hostnode_id"))

        async def act() -> Answer:
            order = order_from(body, self._ssh_key)
            instance = self._cloud.order(order, lambda claim: self._ordered_faults(claim, order.name))
            self._random_failures.expect(instance)
            return Answer(shapes.created(instance), 201 if instance.number % 2 else 200)

        return await self._authentication.answer(
            request, Call(Operation.CREATE, Api.V2, hostnode_id, machine_name=name), act
        )

    async def get(self, request: web.Request) -> web.StreamResponse:
        call = self._call(Operation.GET, request)

        async def act() -> Answer:
            alone = shapes.instance_alone(self._cloud.instance(request.match_info["id"]))
            return Answer({"data": alone} if self._faults.take({FaultKind.WRAPPED}, call) else alone)

        return await self._authentication.answer(request, call, act)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        call = self._call(Operation.DELETE, request)

        async def act() -> Answer:
            fault = self._faults.take({FaultKind.SLOW_DELETE}, call)
            takes_s = fault.simulated_s(self._clock, SLOW_DELETE_S) if fault else None
            instance = self._cloud.delete(request.match_info["id"], takes_s=takes_s)
            return success("Instance deleted successfully", beside=instance.number % 2 == 0)

        return await self._authentication.answer(request, call, act)

    async def start(self, request: web.Request) -> web.StreamResponse:
        async def act() -> Answer:
            return Answer(shapes.moving(self._cloud.start(request.match_info["id"])))

        return await self._authentication.answer(request, self._call(Operation.START, request), act)

    async def stop(self, request: web.Request) -> web.StreamResponse:
        async def act() -> Answer:
            return Answer(shapes.moving(self._cloud.stop(request.match_info["id"], release=False)))

        return await self._authentication.answer(request, self._call(Operation.STOP, request), act)

    async def modify(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)

        async def act() -> Answer:
            instance = self._cloud.instance(request.match_info["id"])
            self._cloud.modify(instance.id, resize_from(body, instance.full_claim))
            return success("Instance modified successfully")

        return await self._authentication.answer(request, self._call(Operation.MODIFY, request), act)

    def _call(self, operation: Operation, request: web.Request) -> Call:
        instance = self._cloud.instances.get(request.match_info["id"])
        if instance is None:
            return Call(operation, Api.V2, machine_id=request.match_info["id"])
        return Call(operation, Api.V2, instance.hostnode_id, instance.id, instance.name)

    def _ssh_key(self, secret_id: str) -> str | None:
        secret = self._cloud.secrets.get(secret_id)
        return secret["value"] if secret and secret["type"] == "SSHKEY" else None

    def _ordered_faults(self, claim: Claim, name: str) -> OrderedFaults:
        call = Call(Operation.CREATE, Api.V2, claim.hostnode_id, machine_name=name)
        quirks = {fault.kind: self._lasts_s(fault) for fault in self._faults.take_each(OF_NEW_MACHINES, call)}
        list_lag_s = self._clock.real_seconds(quirks.pop(FaultKind.LIST_LAG, 0.0))
        return OrderedFaults(quirks, list_lag_s)

    def _lasts_s(self, fault: FaultOrder) -> float:
        return fault.simulated_s(self._clock, LASTS_S.get(fault.kind, 0.0))
