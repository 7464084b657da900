"""A collector of traces on loopback: it speaks OTLP over HTTP and decodes what arrives."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: int


@dataclass
class Collector:
    """What has arrived so far. `status` is what it answers."""

    url: str = ""
    status: int = 200
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        with self.arrived:
            self.bodies.append(body)
            self.headers.append(headers)
            self.spans += _decoded(body)
            self.arrived.notify_all()

    def wait_for(self, name: str, within_s: float = 20) -> Received:
        """Return the first span of this name, as soon as it has arrived."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.named(name), within_s), sorted({s.name for s in self.spans})
            return self.named(name)[0]

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    def path(self, span: Received) -> list[str]:
        """The names from the trace's first span down to this one, as far as they have arrived."""
        by_id = {each.span_id: each for each in self.spans}
        names = [span.name]
        while (above := by_id.get(span.parent_id)) is not None:
            names.insert(0, above.name)
            span = above
        return names


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that listens until the block ends."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            if found.status == 200:
                found.take(body, {name.lower(): value for name, value in self.headers.items()})
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(found.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _decoded(body: bytes) -> Iterator[Received]:
    request = ExportTraceServiceRequest.FromString(body)
    for of_resource in request.resource_spans:
        resource = _plain(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Received(
                    *(span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
                    *(span.status.code == 2, _plain(span.attributes), resource, len(span.events)),
                )


def _plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    return None if kind is None else getattr(pair.value, kind)
