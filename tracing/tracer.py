"""A tracer that costs a request little: spans are plain objects, which OpenTelemetry's SDK sees when it exports them.

The SDK's own spans take about a tenth of the CPU time of a query that reads one record.
These have neither events nor limits: nothing of ours adds events, and `tracing.export` limits what leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import getrandbits
from time import time_ns
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    use_span,
)

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)
_LOW_BITS: Final = (1 << 64) - 1  # of a trace's id; all services that sample by ratio compare them


class LightSpan(Span):
    """A recorded span. Its fields have the names of the SDK's `ReadableSpan`, so that exporters can read it."""

    instrumentation_scope = None

    def __init__(
        self,
        tracer: LightTracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: list[Link],
        start_time: int,
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.attributes = attributes
        self.links = links
        self.resource = tracer.resource
        self.start_time = start_time
        self.end_time: int | None = None
        self.status = Status()
        self._ended = tracer.ended

    def get_span_context(self) -> SpanContext:
        return self.context

    def is_recording(self) -> bool:
        return self.end_time is None

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.attributes.update(attributes)

    def update_name(self, name: str) -> None:
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.status = status if isinstance(status, Status) else Status(status, description)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Drop the event."""

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """Drop the exception, whose text may hold anything."""

    def end(self, end_time: int | None = None) -> None:
        if self.end_time is None:
            self.end_time = end_time or time_ns()
            self._ended(self)


class LightTracer(Tracer):
    """Samples by the parent's decision, or by the trace's id as the SDK does."""

    def __init__(self, ended: Callable[[LightSpan], None], resource: Resource, sampled_ratio: float = 1.0) -> None:
        """Set up the tracer. `ended` is called with each recorded span at its end."""
        self.ended = ended
        self.resource = resource
        self._bound = round(sampled_ratio * (_LOW_BITS + 1))

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Return a span, which records nothing if its trace is not sampled."""
        above = get_current_span(context).get_span_context()
        parent = above if above.is_valid else None
        trace_id = getrandbits(128) if parent is None else parent.trace_id
        sampled = trace_id & _LOW_BITS < self._bound if parent is None else parent.trace_flags.sampled
        own = SpanContext(trace_id, getrandbits(64), is_remote=False, trace_flags=_SAMPLED if sampled else _UNSAMPLED)
        if not sampled:
            return NonRecordingSpan(own)
        began = start_time or time_ns()
        about = dict(attributes or {})
        return LightSpan(self, name, own, parent, kind, about, list(links or ()), began)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # OpenTelemetry's decorator also wraps coroutines
        self, name: str, *positional: Any, **named: Any
    ) -> Iterator[Span]:
        """Make a span current while the context is entered."""
        with use_span(self.start_span(name, *positional, **named), end_on_exit=True, record_exception=False) as span:
            yield span
