"""The authentication and the refusals of version 2: some with a status code, some in a 200."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from simulator.faults import Api, Call, Operation
from simulator.hostnodes.stock import NoNodeError, NoPublicIpError
from simulator.tensordock.cloud import BalanceTooLowError, NoSuchInstanceError, WrongStateError
from simulator.tensordock.instances import Status
from simulator.tensordock.orders import InvalidOrderError
from simulator.tensordock.wire import Answer, FaultGate, as_response

BASE: Final = "/api/v2"
REFUSALS: Final = (
    InvalidOrderError,
    NoSuchInstanceError,
    WrongStateError,
    BalanceTooLowError,
    NoPublicIpError,
    NoNodeError,
)

Act = Callable[[], Awaitable[Answer]]


class Dialect:
    """The refusals of version 2."""

    api = Api.V2

    def refusal(self, status: int, message: str) -> Answer:
        return Answer({"error": message}, status, ok=False)

    def no_capacity(self, operation: Operation) -> Answer:
        if operation is Operation.CREATE:
            return Answer({"status": 400, "error": "No available nodes found"}, 200, ok=False)
        return self.refusal(400, "No available nodes found")

    def no_public_ip(self) -> Answer:
        return self.refusal(400, "No available public IPs on hostnode")

    def already_gone(self) -> Answer:
        return self.refusal(404, "Instance not found")


DIALECT: Final = Dialect()


class Authentication:
    """The authentication of version 2: a token."""

    def __init__(self, gate: FaultGate, api_token: str) -> None:
        self._gate = gate
        self._api_token = api_token

    async def answer(self, request: web.Request, call: Call, act: Act) -> web.StreamResponse:
        """Return a handler that answers callers with the token by `act`, in this interface's words."""
        if refusal := self._unauthorized(request):
            return as_response(refusal)
        return await self.answer_anyone(request, call, act)

    async def answer_anyone(self, request: web.Request, call: Call, act: Act) -> web.StreamResponse:
        return await self._gate.answer(request, call, DIALECT, lambda: _carried_out(call, act))

    def _unauthorized(self, request: web.Request) -> Answer | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return DIALECT.refusal(401, "Unauthorized")
        if not hmac.compare_digest(token.strip().encode(), self._api_token.encode()):
            return DIALECT.refusal(403, "Invalid API token")
        return None


async def _carried_out(call: Call, act: Act) -> Answer:
    try:
        return await act()
    except REFUSALS as error:
        return _in_words(error, call)


def _in_words(error: Exception, call: Call) -> Answer:
    match error:
        case InvalidOrderError():
            return Answer(error.issues, 400, ok=False)
        case NoSuchInstanceError():
            return DIALECT.already_gone()
        case WrongStateError():
            return DIALECT.refusal(409, _wrong_state(error))
        case BalanceTooLowError():
            return DIALECT.refusal(400, "You need at least $1.00 in your account to deploy an instance")
        case NoPublicIpError():
            return DIALECT.no_public_ip()
    return DIALECT.no_capacity(call.operation)


def _wrong_state(error: WrongStateError) -> str:
    match error.verb, error.status:
        case "started", Status.RUNNING | Status.CREATING:
            return "Instance is already running"
        case "started", Status.STARTING:
            return "Instance is already started"
        case "stopped", Status.STOPPED | Status.STOPPED_DISASSOCIATED:
            return "Instance is already stopped"
        case "stopped", _:
            return f"Instance cannot be stopped while it is {error.status}"
    return f"Instance must be stopped before it can be {error.verb}"


def success(message: str, *, beside: bool = False) -> Answer:
    """Return the success envelope. Its message was seen in either place."""
    said = {"message": message}
    return Answer({"data": {"type": "success", **(said if beside else {"attributes": said})}})


async def json_body(request: web.Request) -> object:
    """Return the body as JSON; None when it is not JSON."""
    try:
        return json.loads(await request.text())
    except ValueError:
        return None


def member(value: object, *names: str) -> Any:
    """Return the value below these names, one inside the other; None when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
