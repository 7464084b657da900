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
