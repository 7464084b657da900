"""A program run: argument list, user, environment, folder and streams. A simulated machine has no shell."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulator.machines.users import User

NOT_SIMULATED = 127
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHUNK_BYTES = 65536
log = logging.getLogger(__name__)


class NotSimulatedError(Exception):
    """The simulated machine does not know this program, option or way of calling. The message names it."""


class Input(Protocol):
    async def read(self, limit: int = -1) -> bytes:
        """Return up to `limit` bytes, everything until the end without a limit, and b"" at the end."""
        ...


class Output(Protocol):
    def write(self, data: bytes) -> None:
        """Write all of it. Raises BrokenPipeError when the reader is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Streams:
    stdin: Input
    stdout: Output
    stderr: Output


class Bytes:
    """An input that is known in advance."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content

    async def read(self, limit: int = -1) -> bytes:
        taken = self._content if limit < 0 else self._content[:limit]
        self._content = self._content[len(taken) :]
        return taken


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run; `argv` begins with its name or path."""

    argv: tuple[str, ...]
    user: User
    streams: Streams
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)


Run = Callable[[Command], Awaitable[int]]


def login_environment(user: User) -> dict[str, str]:
    return {"HOME": user.home, "USER": user.name, "LOGNAME": user.name, "PATH": PATH, "LANG": "C.UTF-8"}


def parse_command_line(line: str) -> tuple[str, ...]:
    """Return the arguments of a command line in which nothing is left for a shell to do.

    Clients that send argument lists quote every word as `shlex.join` does. Any other line (operators, variables,
    patterns, redirections) raises NotSimulatedError.
    """
    try:
        argv = tuple(shlex.split(line))
    except ValueError as error:
        raise NotSimulatedError(f"a shell ({error}): {line}") from None
    if not argv or shlex.join(argv) != line.strip() or "=" in argv[0]:
        raise NotSimulatedError(f"a shell: {line}")
    return argv


def report_not_simulated(machine: str, streams: Streams, error: NotSimulatedError) -> int:
    """Say on stderr and in the log what is missing, and return the exit status."""
    log.error("not simulated on %s: %a", machine, str(error))
    streams.stderr.write(f"not simulated: {error}\n".encode(errors="surrogateescape"))
    return NOT_SIMULATED
