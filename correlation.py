"""What the present task works for. Log lines carry it without anybody passing it along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
launch_id: Final[ContextVar[str | None]] = ContextVar("launch_id", default=None)


@contextmanager
def working_on(*, request: str | None = None, launch: str | None = None) -> Iterator[None]:
    """Within the body, and in the tasks that it starts."""
    tokens = [(variable, variable.set(value)) for variable, value in _named(request, launch) if value is not None]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def _named(request: str | None, launch: str | None) -> tuple[tuple[ContextVar[str | None], str | None], ...]:
    return (request_id, request), (launch_id, launch)
