"""Faults: their kinds, those that are ordered, and the choice of the one that strikes."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulator.clock import Clock


class Operation(StrEnum):
    """The kinds of requests that a fault can be ordered for."""

    AUTH = "auth"
    BALANCE = "balance"
    LOCATIONS = "locations"
    HOSTNODES = "hostnodes"
    HOSTNODE = "hostnode"
    CREATE = "create"
    LIST = "list"
    GET = "get"
    START = "start"
    STOP = "stop"
    MODIFY = "modify"
    DELETE = "delete"
    SECRETS = "secrets"
    BUCKET = "bucket"  # struck only by faults that name it


class Api(StrEnum):
    """The two versions of TensorDock's interface, and Google's of the bucket."""

    V0 = "v0"
    V2 = "v2"
    GCS = "gcs"


class FaultKind(StrEnum):
    # An answer of another kind than the true one
    CAPACITY = "capacity"
    NO_PUBLIC_IP = "no-public-ip"
    RATE_LIMITED = "rate-limited"
    SERVER_ERROR = "server-error"
    HTML = "html"
    GARBAGE = "garbage"
    CREDENTIALS_REFUSED = "credentials-refused"
    ALREADY_GONE = "already-gone"
    # No answer, or late
    CONNECTION_CUT = "connection-cut"
    ANSWER_LOST = "answer-lost"
    ANSWER_LATE = "answer-late"
    # A true answer in another form
    EMPTY_STOCK = "empty-stock"
    STALE_STOCK = "stale-stock"
    LIST_SHAPE = "list-shape"
    WRAPPED = "wrapped"
    STRINGS = "strings"
    V0_BLIND = "v0-blind"
    # A machine that behaves badly
    SLOW_BOOT = "slow-boot"
    NO_ADDRESS = "no-address"
    BOOT_FAILS = "boot-fails"
    KEY_MISSING = "key-missing"
    SSH_REFUSED = "ssh-refused"
    INSTALL_FAILS = "install-fails"
    VANISH = "vanish"
    HOST_STOP = "host-stop"
    LIST_LAG = "list-lag"
    SLOW_DELETE = "slow-delete"


class ListShape(StrEnum):
    """The three documented forms of the list of instances."""

    ENVELOPED = "enveloped"  # data.instances, each item with attributes
    ATTRIBUTES = "attributes"  # data.attributes.instances
    FLAT = "flat"  # data is the list


ANSWERED_OTHERWISE: Final = frozenset(
    {
        FaultKind.CAPACITY,
        FaultKind.NO_PUBLIC_IP,
        FaultKind.RATE_LIMITED,
        FaultKind.SERVER_ERROR,
        FaultKind.HTML,
        FaultKind.GARBAGE,
        FaultKind.CREDENTIALS_REFUSED,
        FaultKind.CONNECTION_CUT,
    }
)
OF_NEW_MACHINES: Final = frozenset(
    {
        FaultKind.SLOW_BOOT,
        FaultKind.NO_ADDRESS,
        FaultKind.BOOT_FAILS,
        FaultKind.KEY_MISSING,
        FaultKind.SSH_REFUSED,
        FaultKind.INSTALL_FAILS,
        FaultKind.VANISH,
        FaultKind.HOST_STOP,
        FaultKind.LIST_LAG,
    }
)
OF_PRESENT_MACHINES: Final = frozenset(
    {FaultKind.SSH_REFUSED, FaultKind.INSTALL_FAILS, FaultKind.VANISH, FaultKind.HOST_STOP}
)

# Kinds that make sense for some operations only; the others may strike any.
_OPERATIONS: Final = {
    FaultKind.CAPACITY: {Operation.CREATE, Operation.START, Operation.MODIFY},
    FaultKind.NO_PUBLIC_IP: {Operation.CREATE},
    FaultKind.ALREADY_GONE: {Operation.DELETE},
    FaultKind.SLOW_DELETE: {Operation.DELETE},
    FaultKind.EMPTY_STOCK: {Operation.LOCATIONS, Operation.HOSTNODES},
    FaultKind.STALE_STOCK: {Operation.LOCATIONS, Operation.HOSTNODES, Operation.HOSTNODE},
    FaultKind.LIST_SHAPE: {Operation.LIST},
    FaultKind.WRAPPED: {Operation.GET},
    **{kind: {Operation.CREATE} for kind in OF_NEW_MACHINES},
}
_STRIKES_WHEN_UNSAID: Final = {FaultKind.CAPACITY: Operation.CREATE}


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a request that faults depend on."""

    operation: Operation
    api: Api
    hostnode_id: str | None = None
    machine_id: str | None = None
    machine_name: str | None = None


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """One ordered fault. A part that is None does not restrict it; `times` of None means until it is called off.

    `done`: the request is carried out before it is answered wrongly.
    """

    kind: FaultKind
    operation: Operation | None = None
    api: Api | None = None
    hostnode: str | None = None
    machine: str | None = None
    times: int | None = 1
    probability: float = 1.0
    seconds: float | None = None
    simulated_seconds: float | None = None
    status: int | None = None
    retry_after: int | None = None
    message: str | None = None
    done: bool = False
    shape: ListShape | None = None

    def __post_init__(self) -> None:
        allowed = _OPERATIONS.get(self.kind)
        if allowed and self.operation and self.operation not in allowed:
            raise ValueError(f"{self.kind} strikes {_listed(allowed)}, never {self.operation}")
        if self.done and self.kind not in ANSWERED_OTHERWISE - {FaultKind.CONNECTION_CUT}:
            raise ValueError(f"done says nothing about {self.kind}")

    def strikes(self, call: Call) -> bool:
        return (
            self._strikes_operation(call.operation)
            and self.api in (None, call.api)
            and self.hostnode in (None, call.hostnode_id)
            and (self.machine is None or self.machine in (call.machine_id, call.machine_name))
        )

    def simulated_s(self, clock: Clock, default: float) -> float:
        """Return the duration of this fault in simulated seconds."""
        if self.simulated_seconds is not None:
            return self.simulated_seconds
        return default if self.seconds is None else self.seconds * clock.factor

    def _strikes_operation(self, operation: Operation) -> bool:
        wanted = self.operation or _STRIKES_WHEN_UNSAID.get(self.kind)
        if operation is Operation.BUCKET:
            return wanted is operation
        return operation is wanted if wanted else operation in _OPERATIONS.get(self.kind, {operation})


@dataclass(slots=True)
class OrderedFault:
    """A recorded fault: its number, how often it may still strike, how often it did."""

    id: int
    order: FaultOrder
    left: int | None
    chance: random.Random
    struck: int = 0

    @property
    def spent(self) -> bool:
        return self.left == 0

    def strike(self) -> bool:
        """Return whether chance lets it strike this time, and count it."""
        if self.chance.random() >= self.order.probability:
            return False
        self.struck += 1
        self.left = None if self.left is None else self.left - 1
        return True


@dataclass(slots=True)
class Faults:
    """All ordered faults. The same seed and the same requests bring the same faults."""

    seed: int
    ordered: list[OrderedFault] = field(default_factory=list)
    _count: int = 0

    def order(self, order: FaultOrder) -> OrderedFault:
        self._count += 1
        fault = OrderedFault(self._count, order, order.times, random.Random(f"{self.seed}:fault:{self._count}"))
        self.ordered.append(fault)
        return fault

    def call_off(self, fault_id: int) -> OrderedFault | None:
        """Remove a fault, and return it; None when there is no such fault."""
        found = next((fault for fault in self.ordered if fault.id == fault_id), None)
        if found:
            self.ordered.remove(found)
        return found

    def clear(self) -> None:
        self.ordered.clear()

    def take(self, kinds: Collection[FaultKind], call: Call, *, done: bool | None = None) -> FaultOrder | None:
        """Return the first fault of these kinds that strikes this call, and count it."""
        return next(self._striking(kinds, call, done), None)

    def take_each(self, kinds: Collection[FaultKind], call: Call) -> list[FaultOrder]:
        """Return one fault of each of these kinds that strikes this call."""
        return [fault for kind in sorted(kinds) if (fault := self.take({kind}, call))]

    def _striking(self, kinds: Collection[FaultKind], call: Call, done: bool | None) -> Iterator[FaultOrder]:
        for fault in self.ordered:
            wanted = fault.order.kind in kinds and done in (None, fault.order.done)
            if wanted and not fault.spent and fault.order.strikes(call) and fault.strike():
                yield fault.order


def _listed(operations: Collection[Operation]) -> str:
    return ", ".join(sorted(operations))
