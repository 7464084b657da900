"""Exit statuses, and the error that ends a command with one of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final


class ExitStatus(IntEnum):
    """Exit statuses of all commands. docs/cli.md lists them, and a test compares the two."""

    OK = 0
    INTERNAL = 1
    USAGE = 2  # also the status of wrong options and arguments
    REFUSED = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    UNAVAILABLE = 6
    LAUNCH_FAILED = 7
    LIMIT_REACHED = 8
    INTERRUPTED = 130


_STATUSES: Final[Mapping[str, ExitStatus]] = MappingProxyType(
    {
        "UNAUTHENTICATED": ExitStatus.NOT_ALLOWED,
        "FORBIDDEN": ExitStatus.NOT_ALLOWED,
        "NOT_FOUND": ExitStatus.NOT_FOUND,
        "UNAVAILABLE": ExitStatus.UNAVAILABLE,
        "LIMIT_REACHED": ExitStatus.LIMIT_REACHED,
        "INTERNAL": ExitStatus.INTERNAL,
        "UNREADABLE_RECORD": ExitStatus.INTERNAL,
    }
)


class CommandError(Exception):
    """Ends a command with a message and an exit status. `code` is the service's, if the service refused."""

    def __init__(
        self, message: str, status: ExitStatus, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


def error_of(entry: Mapping[str, Any]) -> CommandError:
    """Return the error for an entry of a response's `errors`."""
    extensions = entry.get("extensions") or {}
    code = str(extensions.get("code") or "INTERNAL")
    wait = extensions.get("retryAfter")
    message = str(entry.get("message") or code)
    return CommandError(message, status_of(code), code, wait if isinstance(wait, int | float) else None)


def refusal_of(entry: Mapping[str, Any]) -> CommandError:
    """Return the error for an entry of a mutation's `errors`."""
    code = str(entry.get("code") or "REFUSED")
    field = ".".join(map(str, (entry.get("path") or ())[1:]))
    message = str(entry.get("message") or code)
    return CommandError(f"{field}: {message}" if field else message, status_of(code), code)


def status_of(code: str) -> ExitStatus:
    """Return the exit status for an error code of the service."""
    return _STATUSES.get(code, ExitStatus.REFUSED)
