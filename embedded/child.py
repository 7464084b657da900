"""One child process of the development default: it outlives us when it must, and ends when the last of us leaves.

A child inherits a locked descriptor. Who can take that lock knows that the child is dead; who cannot reads the port
from its record and connects. A child therefore survives a kill -9 of its parent without being in the way: the next
start finds it, uses it, and ends it in the end.
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
    """One line that names what is missing or wrong, and what to do about it."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child is. `command` takes the port; `version` is what its data folder must have been written by;
    `ready` is asked with port and output when accepting connections does not yet mean that it serves."""

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
    """What is remembered of a child between two starts."""

    version: str
    port: int
    command: tuple[str, ...]


class Child:
    """Not yet started. `start` may find it alive: then it is used as it is."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.port = 0
        spec.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(spec.folder / "lock")
        self._record_file = spec.folder / "record.json"
        self._output_file = spec.folder / "output"  # of this run
        self._log_file = spec.folder / "log"  # of all runs

    async def start(self, *, alone: bool) -> None:
        """Until it answers. `alone` says that no other service process uses it, so that it may be replaced."""
        record = self._record()
        if record is not None:
            self._check_version(record)
            self.port = record.port
            if alone and record.command != tuple(self.spec.command(record.port)):
                await self.end()
        for _ in range(TRIES):
            if await self._answers_or_spawned(alone=alone):
                return
        raise EmbeddedError(f"{self.spec.title} does not start: {self._last_words()} (all of it: {self._log_file})")

    async def watch(self) -> None:
        """For ever: when it dies, start it again on the same port, where its clients look for it."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self._lock.take():
                log.warning("an embedded service died and is started again", extra={"service": self.spec.name})
                await self._revive()

    async def end(self) -> None:
        """Until it is dead, whoever started it."""
        await end_holder(self._lock, self.spec.patience_s)

    def output(self) -> str:
        """What it said on its standard output since it was last started."""
        return self._output_file.read_text(errors="replace")

    def close(self) -> None:
        """Let go of it; it lives on if it lives."""
        self._lock.close()

    async def _answers_or_spawned(self, *, alone: bool) -> bool:
        if self._lock.take():
            await self._spawn(free_port(preferred=self.port))
            return await self._ready()
        # Its record may be a moment younger than its lock.
        if (record := self._record()) is not None:
            self.port = record.port
            if await self._ready():
                return True
        if alone:
            await self.end()
        return False

    async def _revive(self) -> None:
        """The lock of a dead child is ours: until it is back, by us or by another service process."""
        pause_s = WATCH_S
        while not await self._came_back(log_failure=pause_s == WATCH_S):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, READY_S)
            if not self._lock.take():
                return
        log.info("an embedded service is back", extra={"service": self.spec.name})

    async def _came_back(self, *, log_failure: bool) -> bool:
        try:
            await self._spawn(self.port)
            if await self._ready():
                return True
            reason = self._last_words()
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
        if log_failure:
            log.error("an embedded service does not start", extra={"service": self.spec.name, "reason": reason})
        return False

    async def _spawn(self, port: int) -> None:
        """With the lock held by us: hand it to a new process."""
        self.port = port
        command = tuple(self.spec.command(port))
        self._remember(Record(self.spec.version, port, command))
        self._lock.clear()
        # Half done, we and the child would both hold the lock, and nobody could see it die.
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
            subprocess.run(  # noqa: S603 - the specs' own words, and no shell
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
        """Whether it accepts connections in time. A child that dies before it does gives up at once."""
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
                f"not read. To start afresh, without its data: rm -r {self.spec.folder.parent}"
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
        return lines[-1][:200] if lines else "it said nothing"


async def end_holder(lock: FileLock, patience_s: float = PATIENCE_S) -> None:
    """Until nobody holds the lock that a child inherited: politely for `patience_s`, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if lock.take():
            break
        _signal_holder(lock, sign)
        if await lock.wait(patience_s):
            break
    lock.release()


def _signal_holder(lock: FileLock, sign: signal.Signals) -> None:
    # The lock is held, so the id in it is of a living process, and one that made a session of its own.
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
