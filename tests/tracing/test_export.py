"""Traces as a collector receives them, and what never leaves the process."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest

from correlation import working_on
from errors import ProviderBusyError
from tests.otlp import Collector, collector
from tracing import spans
from tracing.export import Destination, export_traces
from tracing.traceparent import TraceParent

CALLER = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
UNSAMPLED = TraceParent(CALLER.trace_id, CALLER.span_id, sampled=False)


def destination(found: Collector, **changes: object) -> Destination:
    return Destination(found.url, {"x-api-key": "hunter2"}, **changes)  # type: ignore[arg-type]  # a test names it


async def test_a_collector_receives_the_operation_and_the_calls_below_it() -> None:
    with collector() as found:
        async with export_traces(destination(found, resource={"service.name": "gamer"})):
            with (
                spans.operation("mutation", "LaunchGame", begins_trace=True),
                working_on(launch="42"),
                spans.call("SSH docker", {"process.executable.name": "docker"}) as call,
            ):
                call.note("process.exit.code", 0)

    (call_span, operation) = found.spans
    assert (operation.name, operation.parent_id) == ("mutation LaunchGame", "")
    assert operation.attributes == {"graphql.operation.type": "mutation", "graphql.operation.name": "LaunchGame"}
    assert found.path(call_span) == ["mutation LaunchGame", "SSH docker"]
    assert call_span.attributes == {
        "process.executable.name": "docker",
        "process.exit.code": 0,
        "gamer.launch.id": "42",
    }
    assert operation.resource["service.name"] == "gamer"
    assert found.headers[0]["x-api-key"] == "hunter2"


async def test_texts_of_errors_and_unlisted_attributes_are_not_exported() -> None:
    with collector() as found:
        async with export_traces(destination(found)):
            with suppress(ProviderBusyError), spans.operation("mutation", None, begins_trace=True) as span:
                span.note("player.address", "127.0.0.77")
                raise ProviderBusyError("no answer with token hunter2 from 127.0.0.77")

    (only,) = found.spans
    assert (only.failed, only.events) == (True, 0)
    assert only.attributes == {"graphql.operation.type": "mutation", "error.type": "ProviderBusyError"}
    assert b"127.0.0.77" not in b"".join(found.bodies)
    assert b"hunter2" not in b"".join(found.bodies)


async def test_a_caller_s_trace_is_continued_as_the_caller_decided() -> None:
    with collector() as found:
        async with export_traces(destination(found, sampled_ratio=0.0)):
            for caller, name in ((CALLER, "Vms"), (UNSAMPLED, "Launches"), (None, "Consoles")):
                spans.set_caller(caller)
                with spans.operation("query", name, begins_trace=False), spans.call("HTTP GET", {}):
                    pass
            spans.set_caller(None)
            with spans.operation("mutation", "StopVm", begins_trace=True):
                pass

    assert [(span.name, span.trace_id) for span in found.spans] == [
        ("HTTP GET", CALLER.trace_id),
        ("query Vms", CALLER.trace_id),
    ]
    assert found.spans[1].parent_id == CALLER.span_id


async def test_an_unsampled_trace_still_names_itself_to_the_log() -> None:
    with collector() as found:
        async with export_traces(destination(found)):
            spans.set_caller(UNSAMPLED)
            with spans.operation("query", "Vms", begins_trace=False):
                current = spans.current()

    assert current is not None
    assert (current.trace_id, current.sampled) == (CALLER.trace_id, False)
    assert found.spans == []


async def test_a_collector_that_is_away_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with collector() as found, caplog.at_level(logging.INFO, "tracing.export"):
        found.status = 400
        async with export_traces(destination(found)):
            for _ in range(3):
                with spans.operation("mutation", "StopVm", begins_trace=True):
                    pass
        said = [record.getMessage() for record in caplog.records if record.name == "tracing.export"]

    assert said == ["traces cannot be exported; spans are lost"]


def test_without_a_recorder_nothing_is_made_and_the_caller_s_trace_is_known() -> None:
    spans.set_caller(CALLER)
    try:
        with spans.operation("mutation", "StopVm", begins_trace=True) as span:
            assert span is spans.NOT_RECORDED
        assert spans.call("HTTP GET", {}) is spans.NOT_RECORDED
        assert spans.current() == CALLER
    finally:
        spans.set_caller(None)
