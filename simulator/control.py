"""`/_control`: the simulator's own interface, to order faults and to check their effects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from aiohttp import web

from simulator.clock import Clock
from simulator.fault_orders import BadRequestError, fault_as_json, fault_order_from, flag, text, whole
from simulator.faults import OF_PRESENT_MACHINES, FaultKind, FaultOrder
from simulator.hostnodes.stock import NoNodeError, NoPublicIpError
from simulator.tensordock.cloud import BalanceTooLowError, NoSuchInstanceError
from simulator.tensordock.instances import Instance, Order, Status
from simulator.tensordock.lives import PARK_FAULTS
from simulator.tensordock.ordering import OrderedFaults
from simulator.tensordock.service import TensorDock

BASE: Final = "/_control"
MOST_AT_ONCE: Final = 100
MOST_USD: Final = 1_000_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The routes. Answers are JSON; amounts of money are strings, times are RFC 3339 in UTC."""

    def __init__(self, tensordock: TensorDock, clock: Clock) -> None:
        self._tensordock = tensordock
        self._cloud = tensordock.cloud
        self._clock = clock

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(BASE, _errors_as_json(self.index))
        router.add_get(f"{BASE}/faults", _errors_as_json(self.list_faults))
        router.add_post(f"{BASE}/faults", _errors_as_json(self.order_fault))
        router.add_delete(f"{BASE}/faults", _errors_as_json(self.call_off_all))
        router.add_delete(f"{BASE}/faults/{{id:\\d{{1,9}}}}", _errors_as_json(self.call_off))
        router.add_get(f"{BASE}/machines", _errors_as_json(self.list_machines))
        router.add_post(f"{BASE}/machines", _errors_as_json(self.make_foreign))
        router.add_put(f"{BASE}/machines/{{id}}/price", _errors_as_json(self.set_price))
        router.add_delete(f"{BASE}/others", _errors_as_json(self.send_others_away))
        router.add_get(f"{BASE}/orders", _errors_as_json(self.list_orders))
        router.add_get(f"{BASE}/requests", _errors_as_json(self.list_requests))
        router.add_get(f"{BASE}/balance", _errors_as_json(self.get_balance))
        router.add_put(f"{BASE}/balance", _errors_as_json(self.set_balance))
        router.add_post(f"{BASE}/balance", _errors_as_json(self.set_balance))
        router.add_post(f"{BASE}/reset", _errors_as_json(self.reset))

    async def index(self, _: web.Request) -> web.Response:
        paths = ("faults", "machines", "orders", "requests", "balance", "reset")
        return web.json_response({"paths": [f"{BASE}/{path}" for path in paths], "clock_factor": self._clock.factor})

    async def list_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": [fault_as_json(fault) for fault in self._tensordock.faults.ordered]})

    async def order_fault(self, request: web.Request) -> web.Response:
        """Order a fault. One for a machine that is there strikes now, others wait for their moment."""
        body = await _body(request)
        on = flag("on", body.pop("on", True))
        order = fault_order_from(body)
        if struck := self._strike_now(order, on=on):
            return web.json_response({"struck": struck})
        if not on:
            raise BadRequestError("on: false is for ssh-refused and install-fails of a machine that is there")
        return web.json_response({"fault": fault_as_json(self._tensordock.faults.order(order))}, status=201)

    async def call_off_all(self, _: web.Request) -> web.Response:
        self._tensordock.faults.clear()
        return web.json_response({"faults": []})

    async def call_off(self, request: web.Request) -> web.Response:
        fault = self._tensordock.faults.call_off(int(request.match_info["id"]))
        if fault is None:
            return web.json_response({"error": "no such fault"}, status=404)
        return web.json_response({"fault": fault_as_json(fault)})

    async def list_machines(self, _: web.Request) -> web.Response:
        self._cloud.balance_usd()
        ours = [order for order in self._cloud.orders if not order.foreign]
        return web.json_response(
            {
                "machines": [self._machine(instance) for instance in self._cloud.instances.values()],
                "ever_created": len(ours),
                "ever_created_by_name": dict(Counter(order.name for order in ours)),
            }
        )

    async def make_foreign(self, request: web.Request) -> web.Response:
        """Order machines of another user of the organization; their names carry no tag of ours."""
        body = await _body(request)
        if unknown := body.keys() - {"name", "count", "hostnode"}:
            raise BadRequestError(f"unknown: {', '.join(sorted(unknown))}; known: name, count, hostnode")
        name = text("name", body.get("name"))
        count = whole("count", body.get("count", 1), lowest=1, highest=MOST_AT_ONCE)
        hostnode_id = text("hostnode", body["hostnode"]) if "hostnode" in body else None
        made = [self._order_foreign(name, hostnode_id) for _ in range(count)]
        return web.json_response({"machines": [self._machine(instance) for instance in made]}, status=201)

    async def set_price(self, request: web.Request) -> web.Response:
        """Set the price of a machine that has its hardware: `{"usd_per_hour": "0.75"}`."""
        usd = _usd((await _body(request)).get("usd_per_hour"))
        if usd <= 0:
            raise BadRequestError("usd_per_hour: more than 0")
        try:
            instance = self._cloud.set_price(request.match_info["id"], usd)
        except NoSuchInstanceError:
            return web.json_response({"error": "no such machine"}, status=404)
        return web.json_response({"machine": self._machine(instance)})

    async def send_others_away(self, _: web.Request) -> web.Response:
        """Free the hardware that hosts took back from machines."""
        self._cloud.free_hardware_of_others()
        return web.json_response({"others": 0})

    async def list_orders(self, _: web.Request) -> web.Response:
        return web.json_response({"orders": [asdict(order) for order in self._cloud.orders]})

    async def list_requests(self, _: web.Request) -> web.Response:
        requests: dict[str, dict[str, int]] = {}
        for (api, operation), count in self._tensordock.gate.counted.items():
            requests.setdefault(api, {})[operation] = count
        return web.json_response({"requests": requests})

    async def get_balance(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "usd": str(self._cloud.balance_usd()),
                "spent_usd": str(self._cloud.ledger.spent_usd),
                "usd_per_hour_now": str(self._cloud.usd_per_hour_now()),
            }
        )

    async def set_balance(self, request: web.Request) -> web.Response:
        self._cloud.set_balance(_usd((await _body(request)).get("usd")))
        return await self.get_balance(request)

    async def reset(self, request: web.Request) -> web.Response:
        await self._tensordock.reset()
        return await self.list_machines(request)

    def _strike_now(self, order: FaultOrder, *, on: bool) -> list[str]:
        """Return the ids of the present machines that `order` strikes at once."""
        if order.machine is None or order.kind not in OF_PRESENT_MACHINES:
            return []
        meant = [one for one in self._cloud.instances.values() if order.machine in (one.id, one.name)]
        meant = [instance for instance in meant if instance.status is not Status.DELETING]
        for instance in meant:
            self._strike(instance, order, on=on)
        return [instance.id for instance in meant]

    def _strike(self, instance: Instance, order: FaultOrder, *, on: bool) -> None:
        after_s = order.simulated_s(self._clock, 0)
        if order.kind in PARK_FAULTS:
            self._cloud.set_park_fault(instance, order.kind, on=on)
        elif after_s:
            instance.quirks[order.kind] = after_s
            self._tensordock.random_failures.expect(instance)
        elif order.kind is FaultKind.VANISH:
            self._cloud.vanish(instance.id)
        else:
            self._cloud.host_stop(instance.id, given_away=True)

    def _order_foreign(self, name: str, hostnode_id: str | None) -> Instance:
        for host in [hostnode_id] if hostnode_id else self._cloud.stock.hostnodes:
            order = Order(name, "ubuntu2404", 2, 4, 100, hostnode_id=host, dedicated_ip=True)
            try:
                return self._cloud.order(order, lambda _: OrderedFaults(foreign=True))
            except (NoNodeError, NoPublicIpError):
                continue
            except BalanceTooLowError as error:
                raise BadRequestError("the balance is too low for a machine") from error
        raise BadRequestError("no hostnode has room for it")

    def _machine(self, instance: Instance) -> dict[str, Any]:
        place = self._cloud.stock.hostnodes[instance.hostnode_id].location
        return {
            "id": instance.id,
            "name": instance.name,
            "foreign": instance.foreign,
            "state": instance.status,
            "booted": instance.booted,
            "address": instance.ip,
            "ports": {str(internal): external for internal, external in instance.ports.items()},
            "hostnode": instance.hostnode_id,
            "city": place.city,
            "created_at": instance.created_at.isoformat(),
            "usd_per_hour_now": str(instance.usd_per_hour_now),
            "billed_usd": str(instance.billed_usd),
        }


def _errors_as_json(handler: Handler) -> Handler:
    async def explained(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequestError as error:
            return web.json_response({"error": str(error)}, status=400)

    return explained


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except ValueError as error:
        raise BadRequestError("the body must be JSON") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def _usd(value: object) -> Decimal:
    try:
        usd = Decimal(str(value))
    except InvalidOperation as error:
        raise BadRequestError('usd: an amount, for example "12.50"') from error
    if not usd.is_finite() or abs(usd) > MOST_USD:
        raise BadRequestError(f"usd: an amount up to {MOST_USD}")
    return usd
