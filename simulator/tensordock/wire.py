"""Requests, their answers, and the ordered faults between the two."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import orjson
from aiohttp import web

from simulator.clock import Clock
from simulator.faults import ANSWERED_OTHERWISE, Api, Call, FaultKind, FaultOrder, Faults, Operation

log = logging.getLogger(__name__)

LATE_S: Final = 20.0
QUIET: Final = frozenset({Operation.AUTH, Operation.BALANCE, Operation.LOCATIONS, Operation.HOSTNODES})
QUIET_TOO: Final = frozenset({Operation.HOSTNODE, Operation.LIST, Operation.GET})
PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>{status} {title}</title></head>"
    "<body><center><h1>{status} {title}</h1></center><hr><center>nginx</center></body></html>\n"
)
TITLES: Final = {200: "OK", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in JSON. `ok`: the request was carried out."""

    payload: Mapping[str, Any] | Sequence[Any]
    status: int = 200
    ok: bool = True


class Dialect(Protocol):
    """The refusals of one version of the interface."""

    api: Api

    def refusal(self, status: int, message: str) -> Answer: ...

    def no_capacity(self, operation: Operation) -> Answer: ...

    def no_public_ip(self) -> Answer: ...

    def already_gone(self) -> Answer: ...


class FaultGate:
    """The way of every request: it is counted, and answered truly unless a fault strikes."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.counted: Counter[tuple[Api, Operation]] = Counter()
        self._faults = faults
        self._clock = clock
        self._chance = random.Random(f"{faults.seed}:garbage")

    async def answer(
        self, request: web.Request, call: Call, dialect: Dialect, act: Callable[[], Awaitable[Answer]]
    ) -> web.StreamResponse:
        """Return the answer of `act`, or the one that an ordered fault makes of it."""
        if faulty_answer := self.faulty_answer(request, call, dialect):
            return faulty_answer
        answer = await act()
        self._note(call, f"answered {answer.status}")
        if answer.ok and (fault := self._fault_afterwards(call)):
            if fault.kind is not FaultKind.ANSWER_LATE:
                return self._spoil(request, call, dialect, fault)
            await self._clock.sleep(fault.simulated_s(self._clock, LATE_S * self._clock.factor))
        if answer.ok and self._faults.take({FaultKind.STRINGS}, call):
            return as_response(Answer(numbers_as_strings(answer.payload), answer.status))
        return as_response(answer)

    def faulty_answer(self, request: web.Request, call: Call, dialect: Dialect) -> web.StreamResponse | None:
        """Return the answer of a fault that strikes before the request is carried out; None without one."""
        self.counted[call.api, call.operation] += 1
        fault = self._faults.take(ANSWERED_OTHERWISE, call, done=False)
        return self._spoil(request, call, dialect, fault) if fault else None

    def _fault_afterwards(self, call: Call) -> FaultOrder | None:
        kinds = {FaultKind.ANSWER_LOST, FaultKind.ANSWER_LATE, FaultKind.ALREADY_GONE}
        return self._faults.take(ANSWERED_OTHERWISE, call, done=True) or self._faults.take(kinds, call)

    def _spoil(self, request: web.Request, call: Call, dialect: Dialect, fault: FaultOrder) -> web.StreamResponse:
        log.info("fault: %s %s strikes %s", fault.kind, "after" if fault.done else "instead of", call.operation)
        match fault.kind:
            case FaultKind.HTML:
                return html_page(fault.status or 502)
            case FaultKind.GARBAGE:
                return web.Response(body=self._chance.randbytes(200), status=fault.status or 200)
            case FaultKind.CONNECTION_CUT | FaultKind.ANSWER_LOST:
                return cut(request)
            case FaultKind.RATE_LIMITED:
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                return as_response(dialect.refusal(429, fault.message or "Too many requests"), headers)
            case _:
                return as_response(_refusal(dialect, call, fault))

    def _note(self, call: Call, what: str) -> None:
        level = logging.DEBUG if call.operation in QUIET | QUIET_TOO else logging.INFO
        # A name is whatever the caller sent: ascii() keeps it on its line.
        machine = ascii(call.machine_name or call.machine_id or "")[:80]
        log.log(level, "%s %s %s: %s", call.api, call.operation, machine, what)


def _refusal(dialect: Dialect, call: Call, fault: FaultOrder) -> Answer:
    match fault.kind:
        case FaultKind.CAPACITY:
            return dialect.no_capacity(call.operation)
        case FaultKind.NO_PUBLIC_IP:
            return dialect.no_public_ip()
        case FaultKind.ALREADY_GONE:
            return dialect.already_gone()
        case FaultKind.CREDENTIALS_REFUSED:
            return dialect.refusal(fault.status or 401, fault.message or "Unauthorized")
        case _:
            return dialect.refusal(fault.status or 500, fault.message or "Internal server error")


def as_response(answer: Answer, headers: Mapping[str, str] | None = None) -> web.Response:
    body = orjson.dumps(answer.payload, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=answer.status, content_type="application/json", headers=headers)


def html_page(status: int) -> web.Response:
    page = PAGE.format(status=status, title=TITLES.get(status, "Error"))
    return web.Response(text=page, status=status, content_type="text/html")


def cut(request: web.Request) -> web.Response:
    """Break the connection. What is returned after this reaches no client."""
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def numbers_as_strings(value: Any) -> Any:
    """Return the same answer with its numbers in quotes."""
    if isinstance(value, Mapping):
        return {key: numbers_as_strings(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [numbers_as_strings(part) for part in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    return value


def _plain(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)
