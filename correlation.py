"""Ids of the request, launch and VM that the current task works for. Every log line carries them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

FIELDS: Final[Mapping[str, ContextVar[str | None]]] = MappingProxyType(
    {name: ContextVar(name, default=None) for name in ("request", "launch", "vm")}
)


_SUBJECTS: Final = MappingProxyType({"launch": "launch", "machine": "vm"})  # by the prefix of the workflow's id


@contextmanager
def working_on(*, request: str | None = None, launch: str | None = None, vm: str | None = None) -> Iterator[None]:
    """Add these ids to the log lines of the body and of the tasks that it starts."""
    ids = {"request": request, "launch": launch, "vm": vm}
    tokens = [(FIELDS[name], FIELDS[name].set(value)) for name, value in ids.items() if value is not None]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def ids_in(workflow_id: str) -> dict[str, str]:
    """Return the id of the launch or the VM that a workflow of Temporal is for, as a field of log lines."""
    kind, _, number = workflow_id.partition("-")
    return {_SUBJECTS[kind]: number} if kind in _SUBJECTS and number.isdigit() else {}
