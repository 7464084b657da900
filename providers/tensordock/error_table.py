"""Maps TensorDock's messages and status codes to what the service does next.

The messages come from its documentation and from public clients of its API (see docs/providers.md). Anything that the
table lacks becomes ProviderBusyError and is logged; it is never guessed to be a lack of capacity. After an error of the
host, the order is looked for; once it is certain that no machine exists, the next placement is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from errors import AccountBalanceError, NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.tensordock.operations import Operation
from providers.tensordock.parse import Failure


class Meaning(StrEnum):
    """Meaning of a failure. The first four are results rather than errors."""

    DONE = "done"  # the requested state is already reached
    GONE = "gone"  # the machine does not exist
    WRONG_STATE = "wrong state"  # not possible in the machine's present state: read the machine
    GIVEN_AWAY = "given away"  # the GPU was given to others, or the state is wrong: read the machine
    FULL = "full"
    NO_MONEY = "no money"  # the balance is too low for an order
    FAILED = "failed"  # tried and failed: look for what it may have created
    REFUSED = "refused"
    BUSY = "busy"


class DeploymentFailedError(ProviderBusyError):
    """The order failed. Once it is certain that no machine exists, the site counts as full."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row, which matches if every given condition matches.

    `words` are lower case and may occur anywhere in the message.
    """

    meaning: Meaning
    operations: frozenset[Operation]
    words: str = ""
    statuses: range = range(100, 600)
    bad_order: bool = False


_ALL: Final = frozenset(Operation)
_HIRING: Final = frozenset({Operation.CREATE, Operation.START})
_STOPPING: Final = frozenset({Operation.STOP, Operation.STOP_AND_FREE})
_POWER: Final = _STOPPING | {Operation.START}
_OF_ONE: Final = _POWER | {Operation.GET_INSTANCE, Operation.DELETE}

# A host that rejects an order with one of these would reject the same order again.
_UNKNOWN_NO: Final = range(400, 500)

TABLE: Final = (
    Row(Meaning.FULL, _HIRING, "no available nodes found"),
    Row(Meaning.FULL, _HIRING, "no available public ips"),
    Row(Meaning.FAILED, frozenset({Operation.CREATE}), "unexpected error during deployment"),
    Row(Meaning.NO_MONEY, frozenset({Operation.CREATE}), "need at least"),
    Row(Meaning.NO_MONEY, frozenset({Operation.CREATE}), statuses=range(402, 403)),
    Row(Meaning.REFUSED, _HIRING, "need at least"),  # the balance
    Row(Meaning.REFUSED, _HIRING, statuses=range(402, 403)),
    Row(Meaning.REFUSED, frozenset({Operation.CREATE}), "must be forwarded"),
    Row(Meaning.DONE, frozenset({Operation.START}), "already running"),
    Row(Meaning.DONE, frozenset({Operation.START}), "already started"),
    Row(Meaning.WRONG_STATE, frozenset({Operation.START}), "must be stopped"),
    Row(Meaning.WRONG_STATE, frozenset({Operation.START}), "cannot be started"),
    Row(Meaning.DONE, _STOPPING, "already stopped"),
    Row(Meaning.WRONG_STATE, _STOPPING, "cannot be stopped"),
    Row(Meaning.GONE, _OF_ONE, "already terminated"),  # also sent with status 500
    Row(Meaning.GONE, _OF_ONE, "not found", range(200, 500)),
    Row(Meaning.GONE, _OF_ONE, statuses=range(404, 405)),
    Row(Meaning.REFUSED, _ALL, bad_order=True),
    Row(Meaning.REFUSED, _ALL, statuses=range(401, 402)),
    Row(Meaning.REFUSED, _ALL, statuses=range(403, 404)),
    Row(Meaning.FULL, frozenset({Operation.CREATE}), statuses=range(404, 405)),  # the host no longer exists
    Row(Meaning.FULL, frozenset({Operation.CREATE}), statuses=range(410, 411)),
    Row(Meaning.BUSY, _ALL, statuses=range(429, 430)),
    Row(Meaning.FAILED, frozenset({Operation.CREATE}), statuses=range(500, 600)),
    Row(Meaning.BUSY, _ALL, statuses=range(500, 600)),
    Row(Meaning.WRONG_STATE, _POWER, statuses=range(409, 410)),
    Row(Meaning.WRONG_STATE, _STOPPING, statuses=range(400, 401)),
    Row(Meaning.GIVEN_AWAY, frozenset({Operation.START}), statuses=range(400, 401)),
    Row(Meaning.REFUSED, frozenset({Operation.TEST_CREDENTIALS})),
    Row(Meaning.FAILED, frozenset({Operation.CREATE}), statuses=_UNKNOWN_NO),
)


def meaning(operation: Operation, failure: Failure) -> Meaning | None:
    """Return the meaning of a failure, or None if the table has no row for it.

    Responses that TensorDock itself did not write mean only that the connection is in trouble.
    """
    if not failure.is_own:
        failed = operation is Operation.CREATE and failure.status >= 500
        return Meaning.FAILED if failed else Meaning.BUSY
    said = failure.words.lower()
    for row in TABLE:
        if (
            operation in row.operations
            and row.words in said
            and failure.status in row.statuses
            and row.bad_order <= failure.bad_order
        ):
            return row.meaning
    return None


def error(operation: Operation, failure: Failure, means: Meaning | None) -> ProviderError:
    """Return the error to raise for a failure."""
    text = f"TensorDock, {operation}: {failure.words or 'no reason given'} ({failure.status})"
    match means:
        case Meaning.FULL:
            return NoCapacityError(text)
        case Meaning.NO_MONEY:
            return AccountBalanceError(text)
        case Meaning.FAILED:
            return DeploymentFailedError(text)
        case Meaning.REFUSED:
            return ProviderRefusedError(text)
        case _:
            return ProviderBusyError(text)
