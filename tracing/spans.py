"""Spans of the work at hand, for OpenTelemetry: one for each GraphQL operation, and one for each call below it.

Nothing is recorded until `use` is called with a recorder. A trace begins with an operation that changes something, or
with any operation of a caller that names its own trace; everything else only continues one. What schedules do belongs
to no trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Protocol, Self

from tracing.traceparent import TraceParent

Value = str | int | float | bool


class Span:
    """A span while `with` is entered. This one records nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def note(self, name: str, value: Value) -> None:
        """Set an attribute. Names that `tracing.export` does not list are not exported."""

    def fail(self, reason: str) -> None:
        """Mark the span as failed. `reason` is a word of ours, never a foreign text."""

    def begin_part(self, name: str) -> Span:
        """Begin the span of a part of this one's work, in any task. The caller ends it."""
        return self

    def end(self) -> None:
        """End a span that was begun without `with`."""


class Recorder(Protocol):
    """Records spans; `tracing.recorder` implements it."""

    tracer: Any  # OpenTelemetry's, for Temporal's interceptor

    def operation(self, kind: str, name: str | None, parent: TraceParent | None) -> Span: ...

    def call(self, name: str, attributes: Mapping[str, Value]) -> Span: ...

    def note(self, name: str, value: Value) -> None: ...

    def current(self) -> TraceParent | None: ...


NOT_RECORDED: Final = Span()
_caller: ContextVar[TraceParent | None] = ContextVar("traceparent", default=None)
_recorder: Recorder | None = None


def operation(kind: str, name: str | None, *, begins_trace: bool) -> Span:
    """Return the span of a GraphQL operation. `name` is that of a trusted document."""
    if _recorder is None:
        return NOT_RECORDED
    parent = _caller.get()
    return _recorder.operation(kind, name, parent) if begins_trace or parent is not None else NOT_RECORDED


def call(name: str, attributes: Mapping[str, Value]) -> Span:
    """Return the span of a call that leaves the process. It is recorded only within a recorded span."""
    return NOT_RECORDED if _recorder is None else _recorder.call(name, attributes)


def note(name: str, value: Value) -> None:
    """Set an attribute of the current span."""
    if _recorder is not None:
        _recorder.note(name, value)


def set_caller(parent: TraceParent | None) -> None:
    """Set the trace in which the caller of the current task is, for this task and those that it starts."""
    _caller.set(parent)


def current() -> TraceParent | None:
    """Return the current trace: that of the current span, or else the caller's, also when nothing is recorded."""
    found = None if _recorder is None else _recorder.current()
    return found or _caller.get()


def tracer() -> Any:
    """Return OpenTelemetry's tracer, or None if nothing is recorded."""
    return None if _recorder is None else _recorder.tracer


@contextmanager
def use(recorder: Recorder) -> Iterator[None]:
    """Record with this recorder until the context ends."""
    global _recorder  # noqa: PLW0603 - one recorder per process, as there is one log
    before, _recorder = _recorder, recorder
    try:
        yield
    finally:
        _recorder = before
