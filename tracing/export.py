"""Exports spans over OTLP/HTTP. Loaded only when an endpoint is configured.

What leaves the process is limited here, for spans of all libraries: attributes that are listed, no events (exceptions
hold foreign text), and of a status its code and the error's type.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, cast

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status

from tracing.recorder import OpenTelemetryRecorder
from tracing.spans import use
from tracing.tracer import LightTracer

log = logging.getLogger(__name__)

ATTRIBUTES: Final = frozenset(
    {
        *("graphql.operation.name", "graphql.operation.type", "gamer.outcome", "error.type"),
        *("gamer.request.id", "gamer.launch.id", "gamer.vm.id"),
        *("gamer.provider", "server.address", "http.request.method", "http.response.status_code"),
        *("process.executable.name", "process.exit.code", "cloudypad.command"),
        *("temporalWorkflowID", "temporalRunID", "temporalActivityID", "temporalUpdateID"),
    }
)
_VALUE_LIMIT: Final = 200  # characters
_BATCH_MS: Final = 1000
_SEND_S: Final = 5
_LAST_BATCH_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where traces go, and what this process is called there. The repr shows no header."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sampled_ratio: float = 1.0
    resource: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def export_traces(destination: Destination) -> AsyncIterator[None]:
    """Record and export spans until the context ends, then send the last ones within some seconds."""
    sender = LimitedExporter(sender_to(destination.endpoint, destination.headers))
    batches = BatchSpanProcessor(sender, schedule_delay_millis=_BATCH_MS)
    tracer = tracer_of(batches, Resource(destination.resource), destination.sampled_ratio)
    # Its lines repeat with every batch, and may hold the collector's answer; ours say it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        with use(OpenTelemetryRecorder(tracer)):
            yield
    finally:
        ending = asyncio.to_thread(batches.shutdown)
        await asyncio.wait([asyncio.ensure_future(ending)], timeout=_LAST_BATCH_S)


def sender_to(endpoint: str, headers: Mapping[str, str]) -> SpanExporter:
    """Return what sends spans to a collector."""
    return OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", headers=dict(headers), timeout=_SEND_S)


def tracer_of(batches: BatchSpanProcessor, resource: Resource, sampled_ratio: float = 1.0) -> LightTracer:
    """Return a tracer with spans that the SDK exports in batches."""
    return LightTracer(lambda span: batches.on_end(cast(ReadableSpan, span)), resource, sampled_ratio)


class LimitedExporter(SpanExporter):
    """Passes spans on without what must not leave the process. Logs a failure of the collector once."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export([limited(span) for span in spans])
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            log.warning("traces cannot be exported; spans are lost", extra={"spans": len(spans)})
        elif self._fails and not fails:
            log.info("traces are exported again")
        self._fails = fails
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def limited(span: ReadableSpan) -> ReadableSpan:
    """Return the span with the attributes that may be exported, and without events and foreign text."""
    attributes = {
        name: value[:_VALUE_LIMIT] if isinstance(value, str) else value
        for name, value in (span.attributes or {}).items()
        if name in ATTRIBUTES
    }
    # Temporal's interceptor writes the error's type, a colon and its text.
    kind = (span.status.description or "").partition(":")[0]
    if kind:
        attributes.setdefault("error.type", kind[:_VALUE_LIMIT])
    return ReadableSpan(
        name=span.name[:_VALUE_LIMIT],
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
