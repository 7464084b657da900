"""Every write of the service refused once: a walk through all moments at which a database can fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.fault_proxy import WRITES, Command, Error, Fault, FaultProxy

ERRORS = (
    Error(10107, "NotWritablePrimary"),
    Error(262, "ExceededTimeLimit"),
    Error(13, "Unauthorized"),
    Error(8000, "AtlasError"),
    Error(14031, "OutOfDiskSpace", write_concern=True),
    Error(777_777, "FromAVersionToCome"),
)


def once_each() -> Callable[[Command], bool]:
    """True for the first time that a write comes, whatever its times are."""
    seen: set[str] = set()

    def is_new(command: Command) -> bool:
        return (key := _key(command)) not in seen and not seen.add(key)  # type: ignore[func-returns-value]

    return is_new


def _key(command: Command) -> str:
    body, documents = command.body, command.documents
    changed = body.get("update", {})
    number = changed.get("$set", {}).get("last_sequence") if isinstance(changed, dict) else None
    fields = sorted(changed.get("$set", changed)) if isinstance(changed, dict) else []
    which = [document.get("_id", document.get("q")) for document in documents]
    return repr((command.name, command.collection, body.get("query", {}).get("_id"), number, fields, which))


def each_fails_once(faults: FaultProxy) -> list[Fault]:
    """Every write of the service fails the first time that it is tried, each with the next of ERRORS."""
    is_new, turn = once_each(), itertools.count()
    now: list[int] = []

    def meets(index: int) -> Callable[[Command], bool]:
        def when(command: Command) -> bool:
            if index == 0:
                now[:] = [next(turn) % len(ERRORS)] if is_new(command) else []
            return now == [index]

        return when

    return [faults.add(Fault(WRITES, error=error, when=meets(index))) for index, error in enumerate(ERRORS)]
