"""The authentication and the refusals of version 0: `success` counts, the status may be anything."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from simulator.faults import Api, Call, Operation
from simulator.hostnodes.stock import NoNodeError, NoPublicIpError
from simulator.tensordock.cloud import BalanceTooLowError, NoSuchInstanceError, WrongStateError
from simulator.tensordock.v0 import shapes
from simulator.tensordock.wire import Answer, FaultGate, as_response

BASE: Final = "/api/v0"
REFUSALS: Final = (NoSuchInstanceError, WrongStateError, BalanceTooLowError, NoPublicIpError, NoNodeError)

Form = Mapping[str, str]
Act = Callable[[Form], Awaitable[Answer]]


class Dialect:
    """The refusals of version 0."""

    api = Api.V0

    def refusal(self, status: int, message: str) -> Answer:
        return Answer({"success": False, "error": message}, status, ok=False)

    def no_capacity(self, operation: Operation) -> Answer:
        return self.refusal(400, f"Not enough resources available to {operation} this machine")

    def no_public_ip(self) -> Answer:
        return self.refusal(400, "No available public IPs on hostnode")

    def already_gone(self) -> Answer:
        return self.refusal(400, "Machine is already terminated")


DIALECT: Final = Dialect()


class Authentication:
    """The authentication of version 0: a key pair."""

    def __init__(self, gate: FaultGate, *, api_key: str, api_token: str) -> None:
        self._gate = gate
        self._pair = (api_key, api_token)

    def knows(self, form: Form) -> bool:
        shown = (form.get("api_key", ""), form.get("api_token", ""))
        return all(
            hmac.compare_digest(mine.encode(), theirs.encode()) for mine, theirs in zip(self._pair, shown, strict=True)
        )

    async def answer(
        self, request: web.Request, call_for: Callable[[Form], Call], act: Act, *, anyone: bool = False
    ) -> web.StreamResponse:
        """Return a handler that answers with `act`, in this interface's words; `anyone` needs no key pair."""
        form = await _fields(request)
        if not anyone and not self.knows(form):
            return as_response(DIALECT.refusal(401, "Invalid API key or token"))
        call = call_for(form)
        return await self._gate.answer(request, call, DIALECT, lambda: _carried_out(call, form, act))


async def _fields(request: web.Request) -> Form:
    """Return the form fields of a POST, urlencoded or multipart, or the query of a GET."""
    fields = request.query if request.method == "GET" else await request.post()
    return {name: value for name, value in fields.items() if isinstance(value, str)}


async def _carried_out(call: Call, form: Form, act: Act) -> Answer:
    try:
        return await act(form)
    except REFUSALS as error:
        return _in_words(error, call)


def _in_words(error: Exception, call: Call) -> Answer:
    match error:
        case NoSuchInstanceError() if call.operation is Operation.DELETE:
            return DIALECT.already_gone()
        case NoSuchInstanceError():
            return DIALECT.refusal(404, "Machine not found")
        case WrongStateError():
            word = shapes.STATUS_WORDS.get(error.status, "Running").lower()
            return DIALECT.refusal(500, f"Machine is {word}, therefore it cannot be {error.verb}")
        case BalanceTooLowError():
            return DIALECT.refusal(400, "You need at least $1.00 in your account")
        case NoPublicIpError():
            return DIALECT.no_public_ip()
    return DIALECT.no_capacity(call.operation)
