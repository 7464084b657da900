"""Log formats: plain lines in development, JSON in production.

Each line carries the ids of its trace, request, launch and VM. Control characters are escaped, so that text of a caller
can neither end a line nor hide part of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from typing import Any, Final

from pythonjsonlogger.json import JsonFormatter

import correlation
from providers.redaction import redact
from tracing import spans

# Control characters, line and paragraph separators, and marks that change the reading direction.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_OWN_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}
_IN_ACCESS_LOG: Final = "Invalid HTTP request received."  # uvicorn's message, which lacks the request id
_SEVERITIES: Final = (
    (logging.CRITICAL, "CRITICAL"),
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARNING"),
    (logging.INFO, "INFO"),
)
_VERBOSE: Final = ("aiohttp", "asyncio", "asyncssh", "geopy", "pymongo", "temporalio", "websockets")


def configure_logging(level: str, *, as_json: bool, project: str | None = None) -> None:
    """Configure logging, once at the start. All output goes to standard error; libraries log from WARNING.

    `project` is the Google Cloud project that has the traces of the lines in JSON.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(project) if as_json else ConsoleLines())
    handler.addFilter(_is_kept)
    handler.addFilter(_read_temporal_fields)
    handler.addFilter(_add_correlation)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        own = logging.getLogger(name)
        own.handlers, own.propagate = [], True


def escaped(text: str) -> str:
    """Return the text with every character escaped that could act on a terminal or a log reader."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ConsoleLines(logging.Formatter):
    """Formats lines such as `12:00:00 WARNING models.change_feed: change stream broke (collection=LaunchEvent)`."""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        text = f"{record.getMessage()} ({fields})" if fields else record.getMessage()
        line = f"{self.formatTime(record, self.datefmt)} {record.levelname:<7} {record.name}: {escaped(text)}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n    {escaped(part)}" for part in trace)
        return line


class JsonLines(JsonFormatter):
    """Formats objects that Google's Cloud Logging understands: `severity`, and the trace under the name it wants."""

    def __init__(self, project: str | None = None) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            json_ensure_ascii=True,
            json_default=str,
        )
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"
        self.converter = time.gmtime
        self._project = project

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["severity"] = _severity(record.levelno)
        if "trace" in log_data and self._project is not None:
            log_data["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{log_data['trace']}"
            log_data["logging.googleapis.com/spanId"] = log_data.get("span")


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the extra fields of a log record."""
    return {name: value for name, value in record.__dict__.items() if name not in _OWN_FIELDS}


def _is_kept(record: logging.LogRecord) -> bool:
    """Return whether to keep a record. uvicorn's own request lines contain query strings, which may hold tokens."""
    if not record.name.startswith("uvicorn"):
        return True
    was_cancelled = record.exc_info is not None and isinstance(
        record.exc_info[1], asyncio.CancelledError
    )  # at shutdown
    return record.levelno >= logging.WARNING and record.msg != _IN_ACCESS_LOG and not was_cancelled


def _severity(level: int) -> str:
    """Return Cloud Logging's word for a level."""
    return next((name for least, name in _SEVERITIES if level >= least), "DEBUG")


def _read_temporal_fields(record: logging.LogRecord) -> bool:
    """Turn what Temporal attaches to its lines into plain fields, and its workflow's id into that of launch or VM.

    Its SDK attaches dictionaries, and its core, which is written in Rust, an object.
    """
    core = record.__dict__.pop("temporal_log", None)
    if core is not None:
        record.msg, record.args = redact(record.getMessage()), None
        record.temporal = {"target": core.target, **{name: redact(str(value)) for name, value in core.fields.items()}}
    about = [record.__dict__.get(name) for name in ("temporal", "temporal_workflow", "temporal_activity")]
    for fields in about:
        if isinstance(fields, dict):
            for name, value in correlation.ids_in(str(fields.get("workflow_id", ""))).items():
                record.__dict__.setdefault(name, value)
    return True


def _add_correlation(record: logging.LogRecord) -> bool:
    for name, variable in correlation.FIELDS.items():
        value = variable.get()
        if value is not None and not hasattr(record, name):
            setattr(record, name, value)
    if (trace := spans.current()) is not None:
        record.trace, record.span = trace.trace_id, trace.span_id
    return True
