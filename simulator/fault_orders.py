"""The JSON of a control request as an ordered fault, with a message for everything that is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import StrEnum
from math import isfinite
from typing import Any, Final, TypeVar

from simulator.faults import Api, FaultKind, FaultOrder, ListShape, Operation, OrderedFault

Word = TypeVar("Word", bound=StrEnum)

ALWAYS: Final = "always"
LONGEST_S: Final = 1e9


class BadRequestError(Exception):
    """The message says which member is wrong and what is right."""


def fault_order_from(body: Mapping[str, Any]) -> FaultOrder:
    """Parse an order. Raises BadRequestError."""
    if unknown := body.keys() - _PARSERS.keys():
        raise BadRequestError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(_PARSERS)}")
    if "kind" not in body:
        raise BadRequestError(f"kind: one of {_words(FaultKind)}")
    try:
        return FaultOrder(**{name: _PARSERS[name](name, value) for name, value in body.items()})
    except ValueError as error:
        raise BadRequestError(str(error)) from error


def fault_as_json(fault: OrderedFault) -> dict[str, Any]:
    order = {part.name: getattr(fault.order, part.name) for part in fields(FaultOrder)}
    said = {name: value for name, value in order.items() if value is not None and name != "times"}
    return {"id": fault.id, **said, "left": ALWAYS if fault.left is None else fault.left, "struck": fault.struck}


def number(name: str, value: object, *, lowest: float = 0, highest: float = LONGEST_S) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise BadRequestError(f"{name}: a number")
    if not lowest <= value <= highest:
        raise BadRequestError(f"{name}: a number from {lowest:g} to {highest:g}")
    return value


def whole(name: str, value: object, *, lowest: int = 0, highest: int = 1_000_000) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise BadRequestError(f"{name}: a whole number from {lowest} to {highest}")
    return value


def text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"{name}: a text")
    return value


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequestError(f"{name}: true or false")
    return value


def _word(kinds: type[Word]) -> Callable[[str, object], Word]:
    def parse(name: str, value: object) -> Word:
        if value not in list(kinds):
            raise BadRequestError(f"{name}: one of {_words(kinds)}")
        return kinds(str(value))

    return parse


def _times(name: str, value: object) -> int | None:
    return None if value == ALWAYS else whole(name, value, lowest=1)


def _probability(name: str, value: object) -> float:
    return number(name, value, highest=1)


def _status(name: str, value: object) -> int:
    return whole(name, value, lowest=200, highest=599)


def _words(kinds: type[StrEnum]) -> str:
    return ", ".join(kinds)


_PARSERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "kind": _word(FaultKind),
    "operation": _word(Operation),
    "api": _word(Api),
    "hostnode": text,
    "machine": text,
    "times": _times,
    "probability": _probability,
    "seconds": number,
    "simulated_seconds": number,
    "status": _status,
    "retry_after": whole,
    "message": text,
    "done": flag,
    "shape": _word(ListShape),
}
