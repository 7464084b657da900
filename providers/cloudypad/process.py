"""Runs a foreign program: argument list, closed input, its own process group, and a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from errors import ProviderBusyError, ProviderRefusedError
from providers.redaction import clean_line

_KEPT_BYTES: Final = 4 * 1024 * 1024
_LINE_BYTES: Final = 64 * 1024
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True, repr=False)
class Finished:
    """Exit status and the end of both outputs. The outputs are raw and may contain secrets."""

    exit_code: int
    stdout: str
    stderr: str


async def run_to_end(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    deadline_s: float,
    on_line: Callable[[str], None],
    held_fds: Sequence[int] = (),
    grace_s: float = 10,
) -> Finished:
    """Run a program. No process of its group outlives the call, whether it ends by exit, deadline or cancellation.

    `on_line` receives every line as it appears, without terminal codes and credentials. `held_fds` stay open in the
    program: a lock held through them is released only when the program has ended, even if this process is killed.
    """
    program = Path(argv[0]).name
    loop = asyncio.get_running_loop()
    # In a task of its own: asyncio 3.11 waits forever, and leaves the group alone, when a start is cancelled.
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: _Run(on_line),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            pass_fds=tuple(held_fds),
        )
    )
    try:
        transport, run = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end_started(starting, grace_s)
        raise
    except OSError as error:
        raise ProviderRefusedError(f"{program} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(deadline_s):
            await run.exited.wait()
    except TimeoutError as error:
        raise ProviderBusyError(f"{program} did not end within {deadline_s:.0f} s") from error
    finally:
        await _end(transport, run, grace_s)
    exit_code = transport.get_returncode()
    return Finished(-1 if exit_code is None else exit_code, run.text(1), run.text(2))


async def _end_started(starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _Run]], grace_s: float) -> None:
    """End a program whose start was cancelled, once it has started."""
    while not starting.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([starting])
    if starting.exception() is None:
        await _end(*starting.result(), grace_s)


async def _end(transport: asyncio.SubprocessTransport, run: _Run, grace_s: float) -> None:
    """End the group and close the pipes.

    Its children may live on and hold the pipes, which close once the whole group has ended. Only a process that has
    left the group (Ansible's shared SSH connection does) can hold them longer.
    """
    await _end_group(transport.get_pid(), grace_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            await run.closed.wait()
    transport.close()


class _Run(asyncio.SubprocessProtocol):
    """Collects both outputs and passes on whole lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._on_line = on_line
        self._kept = {1: b"", 2: b""}
        self._rest = {1: b"", 2: b""}

    def text(self, fd: int) -> str:
        return self._kept[fd].decode(errors="replace")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._kept[fd] = (self._kept[fd] + data)[-_KEPT_BYTES:]
        *lines, rest = (self._rest[fd] + data).split(b"\n")
        self._rest[fd] = rest[-_LINE_BYTES:]
        for line in lines:
            self._emit(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._emit(self._rest.get(fd, b""))

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def _emit(self, line: bytes) -> None:
        if text := clean_line(line.decode(errors="replace")):
            self._on_line(text)


async def _end_group(group: int, grace_s: float) -> None:
    for order in (signal.SIGTERM, signal.SIGKILL):
        if not _signal(group, order) or await _wait_until_gone(group, grace_s):
            return


async def _wait_until_gone(group: int, within_s: float) -> bool:
    """Return whether the group has ended. Polls, because a process group has no event."""
    deadline = asyncio.get_running_loop().time() + within_s
    while _signal(group, 0):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _signal(group: int, order: int) -> bool:
    try:
        os.killpg(group, order)
    except ProcessLookupError:
        return False
    return True
