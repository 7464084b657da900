"""The one table from TensorDock's words and status codes to what we do next.

Its words come from its documentation and from public clients of its API (see docs/providers.md). What the table does
not know is ProviderBusyError and goes to the log; it is never guessed to be a lack of capacity. An order that a host
answers with an error of its own is looked for, and once it is certain that nothing came of it, the next place is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from errors import NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.tensordock.operations import Operation
from providers.tensordock.parse import Failure


class Meaning(StrEnum):
    """What a failure comes to. The first four are answers rather than errors."""

    DONE = "done"  # what we asked for is so already
    GONE = "gone"  # there is no such machine
    WRONG_STATE = "wrong state"  # not in its present state: look at the machine
    GIVEN_AWAY = "given away"  # its GPU is no longer its own, or its state is wrong: look at the machine
    FULL = "full"
    FAILED = "failed"  # it tried and could not: look whether something came of it
    REFUSED = "refused"
    BUSY = "busy"


class DeploymentFailedError(ProviderBusyError):
    """Busy; and once it is certain that nothing came of the order, the site is no better than a full one."""


@dataclass(frozen=True, slots=True)
class Row:
    """Matches when all that is given matches. `words` are looked for in lower case anywhere in what was said."""

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

# Whatever a host says with these to an order, the same order would get the same answer there again.
_UNKNOWN_NO: Final = range(400, 500)

TABLE: Final = (
    Row(Meaning.FULL, _HIRING, "no available nodes found"),
    Row(Meaning.FULL, _HIRING, "no available public ips"),
    Row(Meaning.FAILED, frozenset({Operation.CREATE}), "unexpected error during deployment"),
    Row(Meaning.REFUSED, _HIRING, "need at least"),  # the balance
    Row(Meaning.REFUSED, _HIRING, statuses=range(402, 403)),
    Row(Meaning.REFUSED, frozenset({Operation.CREATE}), "must be forwarded"),
    Row(Meaning.DONE, frozenset({Operation.START}), "already running"),
    Row(Meaning.DONE, frozenset({Operation.START}), "already started"),
    Row(Meaning.WRONG_STATE, frozenset({Operation.START}), "must be stopped"),
    Row(Meaning.WRONG_STATE, frozenset({Operation.START}), "cannot be started"),
    Row(Meaning.DONE, _STOPPING, "already stopped"),
    Row(Meaning.WRONG_STATE, _STOPPING, "cannot be stopped"),
    Row(Meaning.GONE, _OF_ONE, "already terminated"),  # said with a 500, too
    Row(Meaning.GONE, _OF_ONE, "not found", range(200, 500)),
    Row(Meaning.GONE, _OF_ONE, statuses=range(404, 405)),
    Row(Meaning.REFUSED, _ALL, bad_order=True),
    Row(Meaning.REFUSED, _ALL, statuses=range(401, 402)),
    Row(Meaning.REFUSED, _ALL, statuses=range(403, 404)),
    Row(Meaning.FULL, frozenset({Operation.CREATE}), statuses=range(404, 405)),  # the host is not there any more
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
    """None: the table does not know. What TensorDock itself did not say means nothing but trouble on the way."""
    if not failure.spoken:
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
    """The error for a failure that is one."""
    text = f"TensorDock, {operation}: {failure.words or 'no reason given'} ({failure.status})"
    match means:
        case Meaning.FULL:
            return NoCapacityError(text)
        case Meaning.FAILED:
            return DeploymentFailedError(text)
        case Meaning.REFUSED:
            return ProviderRefusedError(text)
        case _:
            return ProviderBusyError(text)
