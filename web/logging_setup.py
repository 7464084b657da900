"""Log lines: for people in development, JSON in production. Each carries the request and the launch it belongs to, and
nothing that a caller sent can end a line or hide in one."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from typing import Final

from pythonjsonlogger.json import JsonFormatter

import correlation

# Control characters, line and paragraph separators, and the marks that turn the reading direction.
_UNSEEMLY: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_OWN_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}
_IN_ACCESS_LOG: Final = "Invalid HTTP request received."  # the server's own words, without the request's id
_TALKATIVE: Final = ("aiohttp", "asyncio", "asyncssh", "geopy", "pymongo", "temporalio", "websockets")


def configure_logging(level: str, *, as_json: bool) -> None:
    """Once, at the start. Everything goes to standard error; libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else ConsoleLines())
    handler.addFilter(_is_for_us)
    handler.addFilter(_belongs_to)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        own = logging.getLogger(name)
        own.handlers, own.propagate = [], True


def neutral(text: str) -> str:
    """The same text on one line, with everything that could act on a terminal or a log reader spelt out."""
    return _UNSEEMLY.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ConsoleLines(logging.Formatter):
    """`12:00:00 WARNING launch.feed: change stream broke (collection=LaunchEvent)`"""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        words = f"{record.getMessage()} ({fields})" if fields else record.getMessage()
        line = f"{self.formatTime(record, self.datefmt)} {record.levelname:<7} {record.name}: {neutral(words)}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n    {neutral(part)}" for part in trace)
        return line


class JsonLines(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            json_ensure_ascii=True,
            json_default=str,
        )
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"
        self.converter = time.gmtime


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was logged beside the sentence."""
    return {name: value for name, value in record.__dict__.items() if name not in _OWN_FIELDS}


def _is_for_us(record: logging.LogRecord) -> bool:
    """The server's own words on a request have its query string in them, and so tokens; `web.access_log` says the
    rest."""
    if not record.name.startswith("uvicorn"):
        return True
    was_cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)  # at the end
    return record.levelno >= logging.WARNING and record.msg != _IN_ACCESS_LOG and not was_cancelled


def _belongs_to(record: logging.LogRecord) -> bool:
    for name, variable in correlation.FIELDS.items():
        value = variable.get()
        if value is not None and not hasattr(record, name):
            setattr(record, name, value)
    return True
