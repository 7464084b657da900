"""Log lines: each on one line, with the request and launch it belongs to, and with nothing that acts on a reader."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from correlation import working_on
from tracing import spans
from tracing.traceparent import TraceParent
from web.logging_setup import ConsoleLines, JsonLines, configure_logging

HOSTILE = "a\nFORGED line\r\x1b[31m\u2028next\u2029\u202eright to left\x00"


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


def record(message: str, *, error: BaseException | None = None, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "web", "levelname": "INFO", "levelno": 20, "msg": message, **fields})
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    return made


def raised(message: str) -> BaseException:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_a_console_line_ends_with_its_fields() -> None:
    line = ConsoleLines().format(record("request completed", method="GET", status=200))

    assert line.endswith("INFO    web: request completed (method=GET status=200)")


def test_nothing_a_caller_sent_breaks_or_bends_a_console_line() -> None:
    line = ConsoleLines().format(record(HOSTILE, path=HOSTILE))

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "\\nFORGED" in line


def test_a_trace_is_indented_so_that_none_of_it_passes_for_a_line() -> None:
    first, *trace = ConsoleLines().format(record("failed", error=raised(HOSTILE))).splitlines()

    assert first.endswith("web: failed")
    assert all(part.startswith("    ") for part in trace)
    assert "\x1b" not in "".join(trace)


def test_a_json_line_is_one_object_in_ascii_with_its_fields() -> None:
    line = JsonLines().format(record(HOSTILE, path=HOSTILE, error=raised(HOSTILE)))

    told = json.loads(line)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert (told["level"], told["logger"], told["message"], told["path"]) == ("INFO", "web", HOSTILE, HOSTILE)
    assert told["severity"] == "INFO"
    assert told["at"].endswith("Z")


@pytest.mark.usefixtures("_logging_as_it_was")
def test_lines_carry_the_request_and_the_launch_they_belong_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", as_json=True)

    with working_on(request="request-7"), working_on(launch="42"):
        logging.getLogger("launch").info("step done", extra={"step": "BOOT"})
    logging.getLogger("launch").info("idle")

    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["request"], first["launch"], first["step"]) == ("request-7", "42", "BOOT")
    assert "request" not in second


@pytest.mark.usefixtures("_logging_as_it_was")
def test_the_servers_own_line_with_the_query_string_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", as_json=False)

    logging.getLogger("uvicorn.access").info("GET /graphql?token=hunter2")
    logging.getLogger("uvicorn.error").info('"WebSocket /graphql?token=hunter2" [accepted]')

    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("level", "severity"),
    [(5, "DEBUG"), (10, "DEBUG"), (20, "INFO"), (25, "INFO"), (30, "WARNING"), (40, "ERROR"), (50, "CRITICAL")],
)
def test_cloud_logging_is_told_the_severity_in_its_own_words(level: int, severity: str) -> None:
    assert json.loads(JsonLines().format(record("event", levelno=level)))["severity"] == severity


@pytest.mark.usefixtures("_logging_as_it_was")
def test_lines_name_their_trace_as_cloud_logging_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", as_json=True, project="games-123")
    spans.set_caller(TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True))

    logging.getLogger("web").info("request completed")
    spans.set_caller(None)
    logging.getLogger("web").info("idle")

    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert first["logging.googleapis.com/trace"] == "projects/games-123/traces/0af7651916cd43dd8448eb211c80319c"
    assert first["logging.googleapis.com/spanId"] == "b7ad6b7169203331"
    assert not {"trace", "logging.googleapis.com/trace", "logging.googleapis.com/spanId"} & set(second)


@pytest.mark.usefixtures("_logging_as_it_was")
def test_temporals_own_lines_name_the_launch_or_the_vm_of_their_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", as_json=True)
    core = SimpleNamespace(target="sdk_core::worker", fields={"workflow_id": "launch-42", "error": "token=hunter2"})

    logging.getLogger("temporalio.core").warning("task failed", extra={"temporal_log": core})
    logging.getLogger("temporalio.activity").warning(
        "cancelled", extra={"temporal_activity": {"workflow_id": "machine-7", "attempt": 2}}
    )

    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["launch"], first["severity"], first["temporal"]["target"]) == ("42", "WARNING", "sdk_core::worker")
    assert "hunter2" not in str(first)
    assert (second["vm"], second["temporal_activity"]["attempt"]) == ("7", 2)
