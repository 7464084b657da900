"""Records spans with OpenTelemetry's API. Loaded only when traces are exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace import Span as OpenTelemetrySpan

import correlation
from tracing.spans import NOT_RECORDED, Span, Value
from tracing.traceparent import TraceParent

_IDS: Final = {"request": "gamer.request.id", "launch": "gamer.launch.id", "vm": "gamer.vm.id"}


class RecordedSpan(Span):
    """A span that is current while `with` is entered, and ends with it."""

    __slots__ = ("_context", "_span", "_token", "_tracer")

    def __init__(self, tracer: Tracer, span: OpenTelemetrySpan, context: Context | None = None) -> None:
        self._tracer = tracer
        self._span = span
        self._context = context
        self._token: Any = None

    def __enter__(self) -> RecordedSpan:
        self._token = contexts.attach(set_span_in_context(self._span, self._context))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        contexts.detach(self._token)
        if kind is not None:
            self.fail(kind.__name__)
        self._span.end()

    def note(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(StatusCode.ERROR)

    def begin_part(self, name: str) -> Span:
        return RecordedSpan(self._tracer, self._tracer.start_span(name, set_span_in_context(self._span)))

    def end(self) -> None:
        self._span.end()


class OpenTelemetryRecorder:
    """Keeps tracing.spans.Recorder."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer

    def operation(self, kind: str, name: str | None, parent: TraceParent | None) -> Span:
        context = Context() if parent is None else set_span_in_context(_remote_span(parent), Context())
        attributes = {"graphql.operation.type": kind, **_ids()}
        if name is not None:
            attributes["graphql.operation.name"] = name
        title = kind if name is None else f"{kind} {name}"
        span = self.tracer.start_span(title, context, SpanKind.SERVER, attributes)
        return RecordedSpan(self.tracer, span, context)

    def call(self, name: str, attributes: Mapping[str, Value]) -> Span:
        if not get_current_span().is_recording():
            return NOT_RECORDED
        span = self.tracer.start_span(name, None, SpanKind.CLIENT, {**attributes, **_ids()})
        return RecordedSpan(self.tracer, span)

    def note(self, name: str, value: Value) -> None:
        get_current_span().set_attribute(name, value)

    def current(self) -> TraceParent | None:
        found = get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return TraceParent(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)


class ContinuingTracer(Tracer):
    """A tracer for foreign instrumentation, which begins no trace and records no exceptions: they hold foreign text."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(
        self, name: str, context: Context | None = None, *positional: Any, **named: Any
    ) -> OpenTelemetrySpan:
        """Return a span of the trace that `context` is in, or one that records nothing."""
        if not get_current_span(context).get_span_context().is_valid:
            return INVALID_SPAN
        span = self._tracer.start_span(name, context, *positional, **named)
        span.set_attributes(_ids())
        return span

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # OpenTelemetry's decorator also wraps coroutines
        self, name: str, *positional: Any, **named: Any
    ) -> Iterator[OpenTelemetrySpan]:
        """Make a span current while the context is entered, if there is a trace to continue."""
        named.pop("set_status_on_exception", None)
        span = self.start_span(name, *positional, **named)
        if span is INVALID_SPAN:
            yield span
            return
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield span


def _remote_span(parent: TraceParent) -> OpenTelemetrySpan:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return NonRecordingSpan(
        SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    )


def _ids() -> dict[str, str]:
    """Return the ids of what the current task works on, as attributes."""
    return {_IDS[name]: value for name, variable in correlation.FIELDS.items() if (value := variable.get()) is not None}
