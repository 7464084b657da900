"""A child process that several service processes share, and that ends with the last of them.

A child inherits a locked file descriptor. A process that can take that lock knows that the child is dead; one that
cannot reads the port from the child's record and connects. So a child survives a kill -9 of its parent: the next start
finds it, uses it, and ends it eventually.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from embedded.locks import FileLock
from embedded.ports import accepts, free_port

HOLDER: Final = Path(__file__).with_name("holder.py")
READY_S: Final = 30.0
PATIENCE_S: Final = 5.0
WATCH_S: Final = 0.25
TRIES: Final = 3
LOG_LIMIT_BYTES: Final = 10_000_000

log = logging.getLogger("embedded")


class EmbeddedError(Exception):
    """One line that names what is missing or wrong, and how to fix it."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run a child.

    `command` takes the port. `version` is the version that must have written its data folder. `ready` is called with
    the port and the output, for children that accept connections before they serve.
    """

    name: str
    title: str
    folder: Path
    version: str
    command: Callable[[int], Sequence[str]]
    working_folder: Path | None = None
    patience_s: float = PATIENCE_S
    ready: Callable[[int, str], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored about a child between starts."""

    version: str
    port: int
    command: tuple[str, ...]


class Child:
    """A child process. `start` uses it as it is if it is already running."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.port = 0
        spec.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(spec.folder / "lock")
        self._record_file = spec.folder / "record.json"
        self._output_file = spec.folder / "output"  # of this run
        self._log_file = spec.folder / "log"  # of all runs

    async def start(self, *, alone: bool) -> None:
        """Start the child and wait until it responds. If `alone`, no other process uses it and it may be replaced."""
        record = self._record()
        if record is not None:
            self._check_version(record)
            self.port = record.port
            if alone and record.command != tuple(self.spec.command(record.port)):
                await self.end()
        for _ in range(TRIES):
            if await self._connect_or_spawn(alone=alone):
                return
        raise EmbeddedError(f"{self.spec.title} does not start: {self._last_words()} (full log: {self._log_file})")

    async def watch(self) -> None:
        """Restart the child whenever it dies, on the same port, where its clients expect it. Never returns."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self._lock.take():
                log.warning("embedded service died, restarting", extra={"service": self.spec.name})
                await self._revive()

    async def end(self) -> None:
        """End the child, even if another process started it, and wait until it is dead."""
        await end_holder(self._lock, self.spec.patience_s)

    def output(self) -> str:
        """Return its standard output since its last start."""
        return self._output_file.read_text(errors="replace")

    def close(self) -> None:
        """Release our resources; the child continues to run."""
        self._lock.close()

    async def _connect_or_spawn(self, *, alone: bool) -> bool:
        if self._lock.take():
            await self._spawn(free_port(preferred=self.port))
            return await self._ready()
        # Its record may be written a moment after its lock is taken.
        if (record := self._record()) is not None:
            self.port = record.port
            if await self._ready():
                return True
        if alone:
            await self.end()
        return False

    async def _revive(self) -> None:
        """Restart a dead child, holding its lock, until it runs again, by us or by another service process."""
        pause_s = WATCH_S
        while not await self._restart(log_failure=pause_s == WATCH_S):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, READY_S)
            if not self._lock.take():
                return
        log.info("embedded service restarted", extra={"service": self.spec.name})

    async def _restart(self, *, log_failure: bool) -> bool:
        try:
            await self._spawn(self.port)
            if await self._ready():
                return True
            reason = self._last_words()
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
        if log_failure:
            log.error("embedded service does not start", extra={"service": self.spec.name, "reason": reason})
        return False

    async def _spawn(self, port: int) -> None:
        """Start a new process and pass it the lock, which we hold."""
        self.port = port
        command = tuple(self.spec.command(port))
        self._remember(Record(self.spec.version, port, command))
        self._lock.clear()
        # If interrupted, we and the child would both hold the lock, and its death would go unnoticed.
        await _uninterrupted(asyncio.to_thread(self._hand_over, command))

    def _hand_over(self, command: tuple[str, ...]) -> None:
        successor = FileLock(self._lock.path)
        try:
            self._run_holder(self._lock.descriptor(), command)
        finally:
            self._lock.close()
            self._lock = successor

    def _run_holder(self, lock: int, command: tuple[str, ...]) -> None:
        grown = self._log_file.exists() and self._log_file.stat().st_size > LOG_LIMIT_BYTES
        with self._output_file.open("wb") as output, self._log_file.open("wb" if grown else "ab") as words:
            subprocess.run(  # noqa: S603 - arguments from our specs, no shell
                [sys.executable, "-I", "-S", str(HOLDER), str(lock), *command],
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=words,
                cwd=self.spec.working_folder or self.spec.folder,
                start_new_session=True,
                check=True,
                timeout=READY_S,
            )

    async def _ready(self) -> bool:
        """Return whether the child serves in time; False at once if it dies."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        while loop.time() < deadline:
            if await self._serves():
                return True
            if self._lock.take():
                self._lock.release()
                return False
            await asyncio.sleep(0.02)
        return False

    async def _serves(self) -> bool:
        if not await accepts(self.port):
            return False
        return self.spec.ready is None or await self.spec.ready(self.port, self.output())

    def _check_version(self, record: Record) -> None:
        if record.version != self.spec.version:
            raise EmbeddedError(
                f"{self.spec.folder} was written by {self.spec.title} {record.version}, which {self.spec.version} does "
                f"not read. To start with an empty one: rm -r {self.spec.folder.parent}"
            )

    def _record(self) -> Record | None:
        try:
            known = json.loads(self._record_file.read_bytes())
            return Record(known["version"], known["port"], tuple(known["command"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, record: Record) -> None:
        beside = self._record_file.with_suffix(".new")
        beside.write_text(json.dumps(asdict(record)))
        beside.replace(self._record_file)

    def _last_words(self) -> str:
        said = self.output() + self._log_file.read_text(errors="replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it printed nothing"


async def end_holder(lock: FileLock, patience_s: float = PATIENCE_S) -> None:
    """End the process that holds an inherited lock: SIGTERM, then SIGKILL after `patience_s`."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if lock.take():
            break
        _signal_holder(lock, sign)
        if await lock.wait(patience_s):
            break
    lock.release()


def _signal_holder(lock: FileLock, sign: signal.Signals) -> None:
    # The lock is held, so the id in it is that of a living process, which leads its own session.
    with suppress(ValueError, ProcessLookupError):
        process_id = int(lock.text())
        if os.getpgid(process_id) == process_id:
            os.killpg(process_id, sign)


async def _uninterrupted(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
